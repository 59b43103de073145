"""Messages: what happened is told to people, each thing once: in Slack, in Teams, by a webhook, by e-mail.

message     what is told: a kind, what it is about, facts
templates   its words, from deployments/messages.yaml
escaping    texts of plates in the words of a channel, where they can neither ping nor format anything
channels    where people are told: blocks on the Prefect server, and how each takes a message
outbox      records in the store: what is to be told, and which channel was told; nothing is told twice
news        plates that were published
digest      what happened in a day
pictures    the picture of a plate
rounds      looks again and again, and sends

Alerts (``flows.watchdogs``) have ways of their own: they also work when this process is what is wrong.
"""
