"""What says how good states of a search are, one file each. Only ``process_reward`` needs a model beside the task's."""
