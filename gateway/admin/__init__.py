"""The operators' interface over HTTP, on the admin port: `/admin/…`.

What a command does at a terminal a call does here, through the same ledger and with the same words; what is
told is made in `gateway/operating`. Who asks is settled before anything is read: see `doorkeeper.py`.
"""
