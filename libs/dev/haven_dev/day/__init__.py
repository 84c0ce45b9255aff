"""The day in the program, played through the gateway: what `make demo` shows and the whole-system tests stand on."""
