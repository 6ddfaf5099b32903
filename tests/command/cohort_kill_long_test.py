"""A cohort that is killed two hundred times, on 1 to 5 ranks."""
import time

import cohort_kills

seed = time.time_ns() % 1_000_000
print(f"seed {seed}", flush=True)
cohort_kills.main(200, seed)
