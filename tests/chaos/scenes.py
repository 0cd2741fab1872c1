"""What is played with in each kind of run."""

from chaos.plan import Scene
from chaos.steps import Kind, Step

_EDITS = {
    Kind.CREATE: 12.0,
    Kind.WEIGHT: 30.0,
    Kind.SOURCE: 12.0,
    Kind.MEMBERS: 8.0,
    Kind.MISSING_SOURCE: 4.0,
    Kind.WRONG_DIGEST: 4.0,
    Kind.DELETE: 8.0,
    Kind.RECREATE: 8.0,
}

STAND_INS = Scene(
    trained=tuple(f"a{number}" for number in range(6)),
    blends=("b0", "b1", "b2"),
    sources=3,
    replicas=(2, 3),
    ranks=(32, 64),
    odds=_EDITS
    | {
        Kind.KILL_ENGINE: 1.5,
        Kind.KILL_POD: 1.0,
        Kind.KILL_OPERATOR: 0.6,
        Kind.KILL_API_SERVER: 0.2,
        Kind.PAUSE_POD: 1.5,
        Kind.PAUSE_OPERATOR: 0.6,
        Kind.CUT: 1.5,
        Kind.SILENCE: 1.5,
        Kind.FILL: 0.8,
        Kind.SLOW: 1.5,
        Kind.DELETE_DOCUMENT: 0.4,
        Kind.RESTORE_DOCUMENT: 0.4,
        Kind.SCALE: 0.4,
        Kind.ROLL: 0.15,
        Kind.RECREATE_MODEL: 0.1,
    },
    quiet_every=40,
    shortest_seconds=0.3,
    longest_seconds=3.0,
)

NODE = Scene(
    trained=("a0", "a1", "a2"),
    blends=("b0",),
    sources=2,
    replicas=(1, 2),
    ranks=(32, 64),
    odds=_EDITS
    | {
        Kind.KILL_ENGINE: 1.5,
        Kind.KILL_POD: 1.0,
        Kind.KILL_OPERATOR: 1.5,
        Kind.KILL_API_SERVER: 1.0,
        Kind.PAUSE_POD: 2.0,
        Kind.PAUSE_OPERATOR: 1.0,
        Kind.CUT: 1.5,
        Kind.SILENCE: 1.5,
        Kind.FILL: 1.0,
        Kind.DELETE_DOCUMENT: 0.5,
        Kind.RESTORE_DOCUMENT: 0.5,
        Kind.SCALE: 0.2,
        Kind.ROLL: 0.15,
        Kind.RECREATE_MODEL: 0.15,
    },
    quiet_every=30,
    shortest_seconds=0.5,
    longest_seconds=4.0,
    certain=(
        Step(Kind.FILL, pod=0, seconds=8.0),
        Step(Kind.SCALE, number=1),
        Step(Kind.SCALE, number=2),
        Step(Kind.ROLL, number=32),
        Step(Kind.DELETE_DOCUMENT),
        Step(Kind.KILL_POD),
        Step(Kind.RECREATE_MODEL),
        Step(Kind.FILL, pod=1, seconds=8.0),
        Step(Kind.RESTORE_DOCUMENT),
        Step(Kind.KILL_API_SERVER),
        Step(Kind.ROLL, number=64),
    ),
)
