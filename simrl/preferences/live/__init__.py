"""Let a person watch, judge and play an environment while it runs; see `protocol` for the messages.

`LiveSession` is free of any transport: whoever carries it hands in the page's messages and sends
out what `messages` yields, text as text and bytes as bytes:

    session = open_session(kind, clips, settings, library, make_policy, seed=..., config=...)
    async for message in session.messages():      # starts the session; ends after "done"
        await websocket.send(message)             # and, in another task, for each text that comes:
    session.receive(text)                         # never raises; thread-safe
    session.result()                              # the answer's value, or None; then
    session.close()                               # always: on a lost connection, too

`make_policy(name, spec, env_options)` builds a policy by name, as
`simrl.runs.policies.named_policy` does; `kind`, `clips` and `settings` are a question's.  Settings
of kind "live": env, env_options, policies (a name for each seat, or one for all), seat, learner
("", "tamer" or "coach"); of kind "correct" there is nothing to set, the clip says it all.
"""

from simrl.preferences.live.open import LEARNERS, MakePolicy, make_learner, open_session
from simrl.preferences.live.person import (
    ForcedPolicy,
    PersonInputs,
    PersonLeftError,
    PersonPolicy,
    TakeOverPolicy,
)
from simrl.preferences.live.protocol import LiveConfig, Message, Mode, read_frame, read_message
from simrl.preferences.live.session import Judgement, LiveSession
from simrl.preferences.live.stage import LiveLearner, LiveTask
from simrl.preferences.live.teach import teach

__all__ = [
    "LEARNERS",
    "ForcedPolicy",
    "Judgement",
    "LiveConfig",
    "LiveLearner",
    "LiveSession",
    "LiveTask",
    "MakePolicy",
    "Message",
    "Mode",
    "PersonInputs",
    "PersonLeftError",
    "PersonPolicy",
    "TakeOverPolicy",
    "make_learner",
    "open_session",
    "read_frame",
    "read_message",
    "teach",
]
