"""`python -m marl.evaluate.ab A B`: arguments in, text and JSON out.

The experiment itself is `experiment`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from marl.evaluate.ab.arms import Arm, load_arm, parse_overrides
from marl.evaluate.ab.experiment import GuardAsked, Settings, run
from marl.evaluate.ab.telling import tell_look, tell_plan, tell_verdict
from marl.files import write_json

_GUARDS = "slo_attainment,cost_usd"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 whatever the verdict.

    Args:
        arguments: of the command line; `sys.argv` if absent.
    """
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        settings = _settings(asked)
        a, b = (_arm(asked, name) for name in ("a", "b"))
        result = run(
            a,
            b,
            settings,
            on_plan=lambda pilot, design: _say(tell_plan(a.name, b.name, settings, pilot, design)),
            on_look=lambda look: _say(tell_look(look)),
        )
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    _say(tell_verdict(result))
    if asked.json is not None:
        write_json(asked.json, result.model_dump(mode="json"))
    return 0


def parse_guards(text: str, metric: str) -> tuple[GuardAsked, ...]:
    """`name`, `name=margin` or `name=percent%`, by commas; the metric itself is no guard.

    Raises:
        ValueError: a margin is not a number, or below 0.
    """
    guards = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, margin = part.partition("=")
        if name == metric:
            continue
        if not equals:
            guards.append(GuardAsked(metric=name))
            continue
        is_share = margin.endswith("%")
        try:
            value = float(margin.removesuffix("%")) / (100 if is_share else 1)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise ValueError(f"the margin of guard {part!r} must be a number >= 0, or a percentage")
        guards.append(GuardAsked(metric=name, margin=value, is_share=is_share))
    return tuple(guards)


def _settings(asked: argparse.Namespace) -> Settings:
    looks = asked.looks or (16 if asked.method == "msprt" else 4)
    return Settings(
        scenario=asked.scenario,
        metric=asked.metric,
        guards=parse_guards(asked.guards, asked.metric),
        minimum_effect=asked.minimum_effect,
        alpha=asked.alpha,
        power=asked.power,
        method=asked.method,
        looks=looks,
        futility=asked.futility,
        pilot_episodes=asked.pilot,
        max_episodes=asked.max_episodes,
        seed=asked.seed,
    )


def _arm(asked: argparse.Namespace, which: str) -> Arm:
    return load_arm(
        getattr(asked, which),
        parse_overrides(getattr(asked, f"{which}_config")),
        data=asked.data,
        training_seed=getattr(asked, f"{which}_seed"),
        episode_steps=asked.steps,
    )


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    known = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m marl.evaluate.ab",
        description="Is B better than A? Plans by a pilot of training episodes, then looks at "
        "held-out ones in blocks and says SHIP (B), KEEP (A) or CONTINUE. docs/statistics.md.",
        epilog="e.g. python -m marl.evaluate.ab reactive apg; "
        "python -m marl.evaluate.ab reactive reactive --b-config zones=2 --metric cost_usd",
    )
    parser.add_argument("a", help="what runs now: a policy's name or file")
    parser.add_argument("b", help="the candidate")
    for name in ("a", "b"):
        parser.add_argument(
            f"--{name}-config",
            action="extend",
            nargs="+",
            default=[],
            metavar="KEY=VALUE",
            help=f"fields of marl.cloud.config.CloudConfig of {name.upper()}'s cloud",
        )
        parser.add_argument(f"--{name}-seed", type=int, help="training seed of a learner")
    add = parser.add_argument
    add("--scenario", default=known.scenario)
    add("--metric", default=known.metric, help="what decides")
    add(
        "--guards",
        default=_GUARDS,
        metavar="NAME[=MARGIN],…",
        help="metrics that must not get worse by more than a margin (of their unit, or with %% of "
        "A's mean; 1%% if left out); '' for none; default %(default)s",
    )
    add("--minimum-effect", type=float, help="smallest difference worth finding; 5%% of A's mean")
    add("--power", type=float, default=known.power)
    add("--alpha", type=float, default=known.alpha, help="over all looks together")
    add("--method", default=known.method, choices=["obrien-fleming", "pocock", "msprt"])
    add("--looks", type=int, help="4; 16 for msprt")
    add("--futility", type=float, default=known.futility, help="give up below it; 0 for never")
    add("--pilot", type=int, default=known.pilot_episodes, help="training episodes to plan by")
    add("--max-episodes", type=int, default=known.max_episodes, help="held-out episodes, now")
    add("--seed", type=int, default=known.seed, help="of the weather")
    add("--steps", type=int, default=144, help="steps of five minutes in an episode")
    add("--data", type=Path, help="data folder; STRATOFORM_DATA or data")
    add("--json", type=Path, metavar="FILE", help="write the result there too")
    return parser
