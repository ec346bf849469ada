"""What operators are told and how, whichever way they ask: by the command line or over HTTP."""
