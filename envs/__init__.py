"""What a task is: prompt, turns, execution, verdict. Imports nothing of ours and never imports torch."""
