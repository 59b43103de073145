"""The web server: plates with their live state, their pages, and their images for viewers.

    app         which address shows what
    access      who may look: the token, its cookie, the names that this machine goes by
    files       files of the store, whole or in parts
    board       the state of all plates, read again while somebody looks
    service     the server as a process: ``python -m flows.web``

It only reads. Everything that it shows can also be opened without it, from the store.
"""
