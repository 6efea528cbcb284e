"""The small world of the rules with a managed workload: Deployments that obey, as a cluster's controllers would."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sparkrelease.decide.deployed import Deployed, ManagedWorkload, Selecting
from sparkrelease.decide.facts import Facts, Side
from sparkrelease.decide.plan import CopyTemplate, Plan, ScaleDeployment, SelectPods, WorkloadStep
from sparkrelease.decide.resolve import ResolvedSpec
from unit.decide.world import World, spec

CANDIDATE, COPY = "shop", "shop-stable"


def managed_workload() -> ManagedWorkload:
    """A cluster in which v1 runs as the candidate, and nothing was made yet."""
    services = (
        Selecting("shop-stable", (("app", "shop-stable"),), fits=True),
        Selecting("shop-canary", (("app", "shop"),), fits=True),
    )
    candidate = Deployed(CANDIDATE, exists=True, version="1", template="t1", replicas=2, rolled_out=True)
    return ManagedWorkload(candidate, Deployed(COPY), services)


@dataclass
class ManagedWorld(World):
    """A world in which what is written to Deployments happens, and pods follow at the next tick."""

    workload: ManagedWorkload = field(default_factory=managed_workload)
    steps: list[WorkloadStep] = field(default_factory=list)
    weight_at: list[float] = field(default_factory=list)
    """Canary's weight by the route, at each step."""
    works: bool = True

    def facts(self, **more: object) -> Facts:
        return super().facts(workload=self.workload, **more)

    def _carry_out(self, plan: Plan, current: ResolvedSpec | None) -> None:
        before = self.route.canary_weight
        super()._carry_out(plan, current)
        step = plan.workload
        if step is None or not self.works or (plan.entries and not self.evidence_works):
            return
        self.steps.append(step)
        self.weight_at.append(before or 0.0)
        seen = self.workload
        match step:
            case CopyTemplate():
                assert step.template == seen.candidate.template, "guarded"
                size = seen.stable.replicas if step.replicas is None else step.replicas
                made = replace(seen.stable, exists=True, template=step.template, copied=step.template, replicas=size)
                self.workload = replace(seen, stable=replace(made, rolled_out=False))
            case ScaleDeployment():
                self.scale(step.deployment, step.replicas)
                if step.parks:
                    self.workload = replace(self.workload, parked=step.parks)
            case SelectPods():
                fixed = tuple(replace(s, fits=s.fits or s.service == step.service) for s in seen.services)
                self.workload = replace(seen, services=fixed)

    def scale(self, deployment: str, replicas: int) -> None:
        """Somebody sets the replicas; pods follow with `roll`."""
        seen = self.workload
        if deployment == CANDIDATE:
            self.workload = replace(seen, candidate=replace(seen.candidate, replicas=replicas, rolled_out=False))
        else:
            self.workload = replace(seen, stable=replace(seen.stable, replicas=replicas, rolled_out=False))

    def push(self, template: str, *, replicas: int | None = None) -> None:
        """Git changes the candidate's pod template; pods follow with `roll`."""
        seen = self.workload.candidate
        size = seen.replicas if replicas is None else replicas
        changed = replace(seen, template=template, replicas=size, rolled_out=False)
        self.workload = replace(self.workload, candidate=changed)

    def roll(self) -> None:
        """The controllers bring pods to what the Deployments say."""
        seen = self.workload
        candidate = replace(seen.candidate, rolled_out=seen.candidate.replicas > 0)
        stable = replace(seen.stable, rolled_out=seen.stable.exists and seen.stable.replicas > 0)
        self.workload = replace(seen, candidate=candidate, stable=stable)
        self.canary = _side(candidate)
        self.stable = _side(stable)

    def tick_by_tick(self, seconds: float, *, until: str | None = None) -> None:
        """Turns the clock; pods follow at each tick."""
        end = seconds
        while end > 0 and self.status.phase != until:
            self.roll()
            self.run_for(self.tick.total_seconds(), until=until)
            end -= self.tick.total_seconds()

    def done(self, kind: type[WorkloadStep]) -> list[WorkloadStep]:
        """Steps of one kind, in order."""
        return [step for step in self.steps if isinstance(step, kind)]


def _side(deployed: Deployed) -> Side:
    """Pods run what the template says, and nothing else: its digest stands for their fingerprint."""
    prints = frozenset({f"fp-{deployed.template}"}) if deployed.exists and deployed.replicas else frozenset()
    return Side(exists=True, ready=deployed.replicas if deployed.exists else 0, fingerprints=prints)


def managed(**changes: object) -> ManagedWorld:
    """A managed release of v1 before anybody looked at it."""
    world = ManagedWorld(spec=spec(version="v1", workload={"deployment": CANDIDATE}, **changes))
    world.roll()
    return world


def at_rest(**changes: object) -> ManagedWorld:
    """The same once its first copy serves."""
    world = managed(**changes)
    world.tick_by_tick(60)
    assert world.reason() == "NothingToRelease", world.why()
    return world


def ship(world: ManagedWorld, version: str, template: str) -> None:
    """What a team's push does: a new version, and a new pod template."""
    world.spec = world.spec.model_copy(update={"version": version})
    world.generation += 1
    world.push(template)


def good_run() -> ManagedWorld:
    """The same after v2 was promoted and settled."""
    world = at_rest()
    ship(world, "v2", "t2")
    world.tick_by_tick(900)
    return world
