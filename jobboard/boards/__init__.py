"""The jobboards: TaskFlow boards on which postings wait to be claimed, and the lease that a claim lives by."""
