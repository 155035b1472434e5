"""One way to stop each kind of work: a coroutine, a command, Python code that never looks, anything at all."""
