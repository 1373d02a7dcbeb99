"""No rule of a cluster may go missing: each mutation takes one away, and its scenario must fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from replica import appends, history, link, log, roles
from replica.appends import Appends, Out
from replica.copy import LogCopy
from replica.history import History
from replica.link import EngineLink
from replica.log import ReplicatedLog
from replica.names import SteppedDown, Unfit, digest_of, error_code, read_answer
from replica.nats import Message
from replica.reading import Reader
from replica.roles import Role, Roles
from replica.wire import Entry, Leads
from support.virtual_nodes import File
from unit.replica import test_leading as leading
from unit.replica import test_rules as rules

Mutate = Callable[[pytest.MonkeyPatch], None]


def constant(module: Any, name: str, value: float) -> Mutate:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        assert getattr(module, name) != value
        patch.setattr(module, name, value)

    return mutate


def method(kind: type, name: str, replacement: Any) -> Mutate:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        assert hasattr(kind, name)
        patch.setattr(kind, name, replacement)

    return mutate


def nothing(*_arguments: Any, **_named: Any) -> None:
    pass


def believe_any_answer(self: Appends, message: Message) -> None:
    if self.out is not None and "seq" in read_answer(message.payload):
        self._stored(self.out)


def forget_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EngineLink, "forget", nothing)
    patch.setattr(Appends, "_acknowledged", believe_any_answer)


def trust_the_refusal(self: ReplicatedLog, answer: Any) -> None:
    """The first error of the first design."""
    out = self._appends.out
    if out is not None and answer["error"]["description"].endswith(f" {self.position.applied + 1}"):
        self._stored(out)


def step_down_when_refused(self: ReplicatedLog, _answer: Any) -> None:
    if self.leading:
        raise SteppedDown("refused")


def take_the_heartbeat_for_a_lease(patch: pytest.MonkeyPatch) -> None:
    """The second error of the first design."""
    announced = Roles._announced

    def hear_oneself(self: Roles, message: Message) -> None:
        if read_answer(message.payload).get("run") == self._log.run and self.role is Role.PRIMARY:
            self._log.lease_ends = self._clock() + log.LEASE_SECONDS
        announced(self, message)

    patch.setattr(Roles, "_announced", hear_oneself)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    publish = EngineLink.publish

    def bare(self: EngineLink, subject: str, payload: bytes = b"", *, reply: str = "", headers: Any = None) -> None:
        publish(self, subject, payload, reply=reply)

    patch.setattr(EngineLink, "publish", bare)


def ignore_others(patch: pytest.MonkeyPatch) -> None:
    take = ReplicatedLog._take

    def ignore(self: ReplicatedLog, sequence: int, payload: bytes) -> None:
        if not self.leading or self.run.encode() in payload:
            take(self, sequence, payload)

    patch.setattr(ReplicatedLog, "_take", ignore)


def ignore_own(patch: pytest.MonkeyPatch) -> None:
    take = ReplicatedLog._take

    def ignore(self: ReplicatedLog, sequence: int, payload: bytes) -> None:
        if not (self.leading and self.run.encode() in payload):
            take(self, sequence, payload)

    patch.setattr(ReplicatedLog, "_take", ignore)


def no_read_when_refused(self: ReplicatedLog, _answer: Any) -> None:
    self.observer.refused()


def another_reply_for_each_copy(patch: pytest.MonkeyPatch) -> None:
    send = Appends.send

    def renew(self: Appends, out: Out) -> None:
        self._link.forget(out.reply)
        out.reply = self._link.expect(self._acknowledged)
        send(self, out)

    patch.setattr(Appends, "send", renew)


def slow_after_errors(patch: pytest.MonkeyPatch) -> None:
    acknowledged = Appends._acknowledged

    def wait(self: Appends, message: Message) -> None:
        out, due = self.out, self.out.send_at if self.out else 0.0
        acknowledged(self, message)
        if out is not None and not error_code(read_answer(message.payload)):
            out.send_at = due

    patch.setattr(Appends, "_acknowledged", wait)


def accept_silently(kind: type, what: str) -> Mutate:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        accepted = ReplicatedLog._accepted

        def without(self: ReplicatedLog) -> None:
            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(kind, what, nothing)
                accepted(self)

        patch.setattr(ReplicatedLog, "_accepted", without)

    return mutate


def quiet_while_it_waits(patch: pytest.MonkeyPatch) -> None:
    tick = Roles.tick

    def busy(self: Roles) -> None:
        if self._log.leading and self._log.is_busy:
            self._beat_at = self._clock() + roles.HEARTBEAT_SECONDS
        tick(self)

    patch.setattr(Roles, "tick", busy)


def believe_the_file(patch: pytest.MonkeyPatch) -> None:
    prepare, commit = File.prepare, File.commit
    patch.setattr(File, "prepare", lambda *args: prepare(*args) or True)
    patch.setattr(File, "commit", lambda file: commit(file) or True)


def one_by_one(patch: pytest.MonkeyPatch) -> None:
    gather = ReplicatedLog._gather

    def at_once(self: ReplicatedLog, entry: Entry, payload: bytes, own: Out | None) -> None:
        gather(self, entry, payload, own)
        self._write_gathered()

    patch.setattr(ReplicatedLog, "_gather", at_once)


def hint_nothing(patch: pytest.MonkeyPatch) -> None:
    announced = Roles._announced

    def deaf(self: Roles, message: Message) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(ReplicatedLog, "read", nothing)
            announced(self, message)

    patch.setattr(Roles, "_announced", deaf)


def what_is_missing_is_missing(patch: pytest.MonkeyPatch) -> None:
    compare = History._compare

    def strict(self: History, position: Any, message: Message) -> None:
        if message.status == 404:
            raise Unfit("missing")
        compare(self, position, message)

    patch.setattr(History, "_compare", strict)


def heartbeats_are_nothing(patch: pytest.MonkeyPatch) -> None:
    announced = Roles._announced

    def deaf(self: Roles, message: Message) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Roles, "_hear", nothing)
            announced(self, message)

    patch.setattr(Roles, "_announced", deaf)


def everybody_is_the_leader(patch: pytest.MonkeyPatch) -> None:
    announced = Roles._announced

    def believe(self: Roles, message: Message) -> None:
        announced(self, message)
        self._hear()

    patch.setattr(Roles, "_announced", believe)


def applied_without_hearing(patch: pytest.MonkeyPatch) -> None:
    applied = Roles.applied

    def deaf(self: Roles, entry: Entry) -> None:
        if any(isinstance(change, Leads) for change in entry.changes):
            applied(self, entry)

    patch.setattr(Roles, "applied", deaf)


def new_engine_as_old(patch: pytest.MonkeyPatch) -> None:
    tick = Roles.tick

    def same(self: Roles) -> None:
        self._link.tick()
        self._openings = self._link.openings
        tick(self)

    patch.setattr(Roles, "tick", same)


def lease_from_the_answer(self: ReplicatedLog, _out: Out) -> None:
    self.lease_ends = self._clock() + log.LEASE_SECONDS


def lease_from_the_last_copy(patch: pytest.MonkeyPatch) -> None:
    send = Appends.send

    def forget(self: Appends, out: Out) -> None:
        out.first_sent = self._clock()
        send(self, out)

    patch.setattr(Appends, "send", forget)


def lead_when_answered(patch: pytest.MonkeyPatch) -> None:
    stored = ReplicatedLog._stored

    def lead(self: ReplicatedLog, out: Out) -> None:
        if not self.leading:
            entry = Entry(self.run, out.number, out.changes)
            self.copy.prepare(entry, out.payload)
            self.observer.applied(entry)
        stored(self, out)

    patch.setattr(ReplicatedLog, "_stored", lead)


def candidate_without_reading(patch: pytest.MonkeyPatch) -> None:
    watch = Roles._watch

    def hurry(self: Roles, now: float) -> None:
        watch(self, now)
        self.caught_up()

    patch.setattr(Roles, "_watch", hurry)


def follow_nobody(self: LogCopy, entry: Entry, payload: bytes, before: Any) -> Any:
    return before._replace(applied=before.applied + 1, digest=digest_of(payload), created=self._created())


def leaves_is_nothing(patch: pytest.MonkeyPatch) -> None:
    after = LogCopy._after

    def stay(self: LogCopy, entry: Entry, payload: bytes, before: Any) -> Any:
        position = after(self, entry, payload, before)
        return position if position.run else position._replace(run=before.run)

    patch.setattr(LogCopy, "_after", stay)


def lease_while_leaving(self: ReplicatedLog) -> bool:
    return self._clock() < self.lease_ends


def history_without(*keys: str) -> Mutate:
    """Compare a log as if it were like the file in these points."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        informed = History._informed

        def blind(self: History, message: Message) -> None:
            info = dict(read_answer(message.payload))
            position = self._position()
            if "created" in keys and info.get("created"):
                info["created"] = position.created or info["created"]
            if "last" in keys and "state" in info:
                info["state"] = {**info["state"], "last_seq": max(position.applied, info["state"]["last_seq"])}
            informed(self, message._replace(payload=json.dumps(info).encode()))

        patch.setattr(History, "_informed", blind)

    return mutate


def accept_any_entry(self: History, _position: Any, _message: Message) -> None:
    self._accept()


def any_base(patch: pytest.MonkeyPatch) -> None:
    gather = ReplicatedLog._gather

    def accept(self: ReplicatedLog, entry: Entry, payload: bytes, own: Out | None) -> None:
        first = next((change for change in entry.changes if isinstance(change, Leads)), None)
        base, self.base = self.base, first.base if first else self.base
        gather(self, entry, payload, own)
        self.base = base

    patch.setattr(ReplicatedLog, "_gather", accept)


def begin_anywhere(patch: pytest.MonkeyPatch) -> None:
    init = Reader.__init__

    def blind(self: Reader, *args: Any, **named: Any) -> None:
        init(self, *args, **{**named, "purged": nothing})

    patch.setattr(Reader, "__init__", blind)


Scenario = Callable[[], None]

MUTATIONS: dict[str, tuple[Mutate, Scenario]] = {
    "any answer decides": (forget_nothing, rules.an_answer_to_an_earlier_entry),
    "the feed does not decide": (ignore_own, rules.the_feed_decides),
    "a read does not decide": (ignore_own, rules.a_read_decides),
    "another run's entry is ignored": (ignore_others, rules.another_runs_entry_replaces),
    "a later entry is ignored": (method(ReplicatedLog, "_miss", nothing), rules.a_later_entry_replaces),
    "10071 decides": (method(ReplicatedLog, "_refused", trust_the_refusal), rules.a_proposal_vanishes),
    "10071 replaces": (method(ReplicatedLog, "_refused", step_down_when_refused), rules.a_proposal_vanishes),
    "10071 is not followed by a read": (
        method(ReplicatedLog, "_refused", no_read_when_refused),
        rules.an_entry_was_refused_though_it_is_there,
    ),
    "10071 is not soon followed by the same bytes": (
        constant(appends, "AGAIN_SECONDS", 1.0),
        rules.an_entry_is_refused_for_what_vanishes,
    ),
    "an answer is waited for for ever": (constant(appends, "ANSWER_SECONDS", 60.0), rules.an_append_is_lost),
    "a reply subject for each copy": (
        another_reply_for_each_copy,
        rules.the_first_copy_is_answered_after_the_second,
    ),
    "503 counts as no answer": (slow_after_errors, rules.there_is_no_leader_for_a_moment),
    "a new connection does not send again": (
        accept_silently(Appends, "send_now"),
        rules.a_connection_breaks_with_an_entry_out,
    ),
    "no expected sequence": (no_fence, rules.an_append_is_sent_twice),
    "undecided for ever": (constant(log, "UNDECIDED_SECONDS", 1e9), rules.the_engines_are_away_for_too_long),
    "undecided for a moment": (constant(log, "UNDECIDED_SECONDS", 6.0), rules.the_engines_are_away_for_a_while),
    "no heartbeat while waiting": (quiet_while_it_waits, rules.an_election_takes_long),
    "rare heartbeats": (constant(roles, "HEARTBEAT_SECONDS", 2.0), rules.an_election_takes_long),
    "a full file is ignored": (believe_the_file, rules.a_file_is_full),
    "a full file may lead": (
        method(LogCopy, "try_file", lambda self: setattr(self, "can_write", True)),
        rules.a_file_is_full,
    ),
    "a full file stays full": (method(LogCopy, "try_file", nothing), rules.a_file_is_full),
    "Leaves is nothing": (leaves_is_nothing, rules.the_primary_leaves),
    "Leaves is waited after": (constant(roles, "VACANT_SECONDS", 50.0), rules.the_primary_leaves),
    "a lease outlives Leaves": (
        method(ReplicatedLog, "has_lease", property(lease_while_leaving)),
        rules.the_primary_leaves,
    ),
    "the feed is ignored": (method(ReplicatedLog, "_fed", nothing), rules.backups_follow_the_feed),
    "the past is not read": (method(ReplicatedLog, "read", nothing), rules.a_node_reads_the_past),
    "a transaction for each entry": (one_by_one, rules.a_node_reads_the_past),
    "a gap is ignored": (method(ReplicatedLog, "_miss", nothing), rules.an_entry_of_the_feed_is_lost),
    "a new connection does not read": (accept_silently(ReplicatedLog, "read"), rules.a_new_connection_reads),
    "a heartbeat hints at nothing": (hint_nothing, rules.a_heartbeat_hints),
    "nothing is read without a hint": (constant(log, "READ_SECONDS", 1e9), rules.nodes_read_each_second),
    "what is missing is missing": (what_is_missing_is_missing, rules.a_copy_is_behind),
    "a batch may begin anywhere": (begin_anywhere, rules.the_beginning_is_purged),
    "a new primary loads in silence": (method(Roles, "keep_up", nothing), leading.a_new_primary_loads_for_long),
    "a new primary does not listen": (method(Roles, "keep_up", Roles.tick), leading.a_new_primary_loads_for_long),
    "no heartbeat counts": (heartbeats_are_nothing, rules.an_election_takes_long),
    "a second of silence is not enough": (constant(roles, "SILENCE_SECONDS", 2.5), leading.the_primary_dies),
    "any heartbeat counts": (everybody_is_the_leader, leading.the_primary_dies),
    "an entry does not count as heard": (applied_without_hearing, leading.entries_alone_arrive),
    "an own pause is others' silence": (constant(roles, "OWN_PAUSE", 1e9), leading.a_backup_is_paused),
    "a new engine is as the old one": (new_engine_as_old, leading.a_backup_looks_for_an_engine),
    "no probes": (constant(roles, "PROBE_AFTER_SECONDS", 1e9), leading.the_primary_dies),
    "probes without a pause": (constant(roles, "PROBE_SECONDS", 0.0), leading.the_primary_dies),
    "rare probes": (constant(roles, "PROBE_SECONDS", 1.0), leading.the_primary_dies),
    "one 503 is enough": (
        constant(roles, "NO_RESPONDERS_SECONDS", 0.0),
        leading.the_primarys_engine_freezes_and_dies,
    ),
    "a short silence is enough": (
        constant(roles, "LONG_SILENCE_SECONDS", 1.2),
        leading.the_primary_freezes_for_a_moment,
    ),
    "a long silence is not enough": (constant(roles, "LONG_SILENCE_SECONDS", 1e9), leading.the_primary_freezes),
    "the silence is shorter than the lease": (
        constant(log, "LEASE_SECONDS", 3.0),
        leading.the_primarys_engine_is_cut_off,
    ),
    "the own heartbeat is a lease": (take_the_heartbeat_for_a_lease, leading.the_primarys_engine_is_cut_off),
    "the lease begins with the answer": (
        method(ReplicatedLog, "_extend_lease", lease_from_the_answer),
        leading.an_answer_is_late_and_the_engine_cut_off,
    ),
    "the lease begins with the last copy": (
        lease_from_the_last_copy,
        leading.a_second_copy_is_sent_and_the_engine_cut_off,
    ),
    "no lease": (
        method(ReplicatedLog, "has_lease", property(lambda self: True)),
        leading.a_read_comes_to_one_that_was_frozen,
    ),
    "a candidate does not read": (candidate_without_reading, leading.a_candidate_reads_first),
    "a refused candidate goes on": (method(Roles, "refused", nothing), leading.a_candidate_is_refused),
    "a candidate leads when answered": (lead_when_answered, leading.a_candidate_leads_when_it_has_applied),
    "a new leader is not followed": (method(LogCopy, "_after", follow_nobody), leading.the_primary_dies),
    "the log's creation is not compared": (history_without("created"), leading.the_log_is_another),
    "the log's end is not compared": (history_without("last"), leading.the_log_is_shorter),
    "the entry is not compared": (method(History, "_compare", accept_any_entry), leading.an_entry_is_another),
    "a lost log is waited for": (constant(history, "MISSING_SECONDS", 1e9), leading.the_log_is_lost),
    "a log is lost at once": (constant(history, "MISSING_SECONDS", 0.0), leading.the_log_is_lost),
    "anybody founds": (constant(roles, "FOUND_SECONDS", 0.1), leading.a_file_with_data_founds),
    "any base": (any_base, leading.a_file_with_data_comes_too_late),
    "a silent engine is kept": (constant(link, "ENGINE_SILENCE", 1e9), leading.an_engine_freezes),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_rule_that_is_missing_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, scenario = MUTATIONS[name]
    mutate(monkeypatch)
    with pytest.raises((AssertionError, IndexError, KeyError)):
        scenario()
