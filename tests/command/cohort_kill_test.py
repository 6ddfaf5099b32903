"""A cohort that is killed a dozen times; cohort_kill_long_test.py is the same with two hundred."""
import time

import cohort_kills

seed = time.time_ns() % 1_000_000
print(f"seed {seed}", flush=True)
cohort_kills.main(12, seed)
