"""For flows that ask a server over HTTP, which is sometimes away, and sometimes wants to be asked less often."""
