"""Side-by-side measurements. Ratios, not seconds: machines differ, what is compared runs on one."""
