"""The PianoTree decoder: from a latent code to the notes of 32 steps, one step after the other, note by note.

    z -> state and input of the time GRU
    for each of 32 steps:
        time GRU ( summary of the last step | z | features | sound )  -> s
        for each of 15 slots:  note GRU ( s | last note )  -> pitch, five duration bits
        summary of the step: a bidirectional GRU over its notes

Names and shapes of the tensors are those of the published A2S weights, which load as they are (`leftovers`: parameters
that were never used but must be there). Two things are ours and off in that configuration:

- `local` values of sound at each step join the input of the time GRU, and `keys`: evidence for each piano key at each
  step is added to what the note GRU says of that key. The published decoder sees the audio only through one vector of
  192 numbers for two bars, in which a melody hardly survives.
- with `keys`, pitches of a step rise, and the distribution over the next pitch is built from one yes-or-no question
  per key ("does this key, above the last one, begin here?"): log P(k) = log h(k) + sum of log(1 - h(q)) over the keys
  q between the last note and k; the end mark takes the rest. It is normalised, trained by the same cross-entropy, and
  evidence of a key can act on it directly. Decoding takes the first key above the last one that passes a threshold,
  which unlike the largest probability does not fall silent when several continuations are likely.

`forward` follows the published algorithm with its coins for teacher forcing; `forced` computes the same for teacher
forcing everywhere with fused recurrences over the notes there are, which is some ten times faster. Sources:
`pianotree.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

from spartito.models.pianotree import BITS, END, LONGEST, NO_BIT, PAD, PREDICTED, SLOTS, START, STEPS

__all__ = ["Choice", "ForcedNotes", "NoteLogits", "PianoTreeConfig", "PianoTreeDecoder", "gru_step"]

CLASSES = END + 1  # pitches, start, end
KEYS, LOWEST_KEY = 88, 21
IMPOSSIBLE = -1e9  # logit
KEY_EVIDENCE = 1 + BITS  # values per key: begins here, bits of its duration


@dataclass(frozen=True)
class PianoTreeConfig:
    """Sizes; the defaults are those of the published `a2s`."""

    latent: int = 512
    features: int = 64
    """Width of the feature embedding that joins each step; 0 for none."""
    time_input: int = 256
    time_units: int = 1024
    note_units: int = 512
    embedding: int = 128
    summary: int = 128
    """Units of the summary of a step, per direction."""
    local: int = 0
    """Width of the sound that joins each step."""
    keys: bool = False
    """Whether evidence per key is added, see the module's text."""
    leftovers: bool = True
    """Whether there are the unused tensors of the published weights."""


class NoteLogits(NamedTuple):
    """What `forward` says: (B, 32, 15, 130), (B, 32, 15, 5, 2), and the choices (B, 32, 15, 6) int64."""

    pitch: Tensor
    duration: Tensor
    grid: Tensor


class ForcedNotes(NamedTuple):
    """What `forced` says about the N notes and end marks there are: logits (N, 130), (N, 5, 2), targets (N, 6)."""

    pitch: Tensor
    duration: Tensor
    target: Tensor


@dataclass(frozen=True)
class Choice:
    """How a decoder settles on a note.

    Attributes
    ----------
    temperature : float
        0: the most probable; above, drawn with the logits divided by it.
    threshold : float
        With `keys` and temperature 0: probability from which a key is struck.
    trust : float
        With `keys`: what the note GRU says counts so much beside the evidence. Below 1, as it learnt with the truth
        before its eyes and now reads its own mistakes.
    median : bool
        At temperature 0: durations are the median of what is believed of them; else each bit is the likelier one, which
        makes uncertain durations too short.
    generator : torch.Generator, optional
    compat : bool
        Allow what makes a grid malformed: start marks, a pitch twice in a step; summarise at most 15 slots.
    """

    temperature: float = 0.0
    threshold: float = 0.5
    trust: float = 1.0
    median: bool = False
    generator: torch.Generator | None = None
    compat: bool = False


class PianoTreeDecoder(nn.Module):
    """See the module's text."""

    def __init__(self, config: PianoTreeConfig | None = None):
        super().__init__()
        self.config = c = config or PianoTreeConfig()
        note = CLASSES + BITS
        self.dec_init_input = nn.Parameter(torch.rand(2 * c.summary))
        if c.leftovers:
            self.dur_sos_token = nn.Parameter(torch.rand(BITS))
        self.note_embedding = nn.Linear(note, c.embedding)
        self.z2dec_hid_linear = nn.Linear(c.latent, c.time_units)
        self.z2dec_in_linear = nn.Linear(c.latent, c.time_input)
        self.dec_notes_emb_gru = nn.GRU(c.embedding, c.summary, batch_first=True, bidirectional=True)
        inputs = 2 * c.summary + c.time_input + c.features + c.local
        self.dec_time_gru = nn.GRU(inputs, c.time_units, batch_first=True)
        self.dec_time_to_notes_hid = nn.Linear(c.time_units, c.note_units)
        self.dec_notes_gru = nn.GRU(c.time_units + c.embedding, c.note_units, batch_first=True)
        self.pitch_out_linear = nn.Linear(c.note_units, CLASSES)
        if c.leftovers:
            self.dec_dur_gru = nn.GRU(BITS, 16, batch_first=True)
            self.dur_hid_linear = nn.Linear(CLASSES + c.note_units, 16)
        self.dur_out_linear = nn.Linear(c.note_units, 2 * BITS)

    # -- notes as vectors ---------------------------------------------------------------------------------------

    def embed(self, notes: Tensor) -> Tensor:
        """(..., 6) int -> (..., embedding): pitch or mark one-hot (padding: nothing) and the bits as numbers."""
        pitch = notes[..., 0]
        table = self.note_embedding.weight[:, :CLASSES].t()  # (130, embedding)
        known = table[pitch.clamp(max=END)] * (pitch < PAD).unsqueeze(-1)
        bits = F.linear(notes[..., 1:].to(table.dtype), self.note_embedding.weight[:, CLASSES:])
        return known + bits + self.note_embedding.bias

    def summary(self, embedded: Tensor, length: Tensor) -> Tensor:
        """(N, slots, embedding) with (N,) lengths of at least 1 -> (N, 2 summary): both last states."""
        packed = pack_padded_sequence(embedded, length.cpu(), batch_first=True, enforce_sorted=False)
        return self.dec_notes_emb_gru(packed)[1].transpose(0, 1).flatten(1)

    # -- the published algorithm ---------------------------------------------------------------------------------

    def forward(
        self,
        z: Tensor,
        features: Tensor | None = None,
        *,
        local: Tensor | None = None,
        keys: Tensor | None = None,
        truth: Tensor | None = None,
        ratios: tuple[float, float] = (0.0, 0.0),
        coin: Callable[[], float] = random.random,
        choice: Choice = Choice(),
        stop_early: bool = False,
    ) -> NoteLogits:
        """Decode freely, or with teacher forcing at random steps.

        Parameters
        ----------
        z : (B, latent)
        features : (B, 32, features)
        local : (B, 32, local)
        keys : (B, 32, 88, 6) logits per key: begins at this step, and for each bit of its duration
        truth : (B, 32, 16, 6) int, for teacher forcing
        ratios : probabilities of the truth on the time axis and on the note axis
        coin : draws a number in 0..1: one per step and slot for the whole batch, in the published order
        stop_early : leave the slots of a step empty (padding, logits 0) once all rows have ended it; notes are the same
        """
        batch = z.shape[0]
        true_notes = None if truth is None else self.embed(truth)  # (B, 32, 16, E)
        if truth is not None:  # the published code counts the end mark here, but not in its own predictions
            last = 0 if choice.compat else 1
            true_length = SLOTS - (truth[..., 0] == PAD).sum(-1) - last
        h, constant = self.z2dec_hid_linear(z), self.z2dec_in_linear(z)
        token = self.dec_init_input.expand(batch, -1)
        steps: list[tuple[Tensor, Tensor, Tensor]] = []
        for t in range(STEPS):
            parts = [token, constant]
            parts += [] if features is None else [features[:, t]]
            parts += [] if local is None else [local[:, t]]
            h = gru_step(self.dec_time_gru, torch.cat(parts, dim=-1), h)
            pitch, duration, grid, embedded, length = self._notes(
                h,
                None if keys is None else keys[:, t],
                None if true_notes is None else true_notes[:, t],
                None if truth is None else truth[:, t],
                ratios[1],
                coin,
                choice,
                stop_early,
            )
            steps.append((pitch, duration, grid))
            if t == STEPS - 1:
                break
            if coin() < ratios[0] and truth is not None:
                token = self.summary(true_notes[:, t], true_length[:, t])
            else:
                token = self.summary(embedded, length)
        return NoteLogits(*(torch.stack(part, dim=1) for part in zip(*steps)))

    def _notes(self, s, keys, true_notes, truth, ratio, coin, choice, stop_early):
        """The notes of one step from s (B, time_units)."""
        batch = s.shape[0]
        g = self.dec_time_to_notes_hid(s)
        mark = s.new_full((batch, 1 + BITS), NO_BIT, dtype=torch.long)
        mark[:, 0] = START
        x = self.embed(mark)
        embedded, pitches, durations = [x], [], []
        grid = mark.new_full((batch, PREDICTED, 1 + BITS), NO_BIT)
        grid[..., 0] = PAD
        ended = mark.new_zeros(batch, dtype=torch.bool)
        length = mark.new_full((batch,), PREDICTED if choice.compat else SLOTS)
        last = mark.new_full((batch,), -1)  # highest key struck so far, -1 none
        struck = mark.new_zeros(batch, CLASSES, dtype=torch.bool)
        for k in range(1, SLOTS):
            if stop_early and bool(ended.all()):
                break
            g = gru_step(self.dec_notes_gru, torch.cat([s, x], dim=-1), g)
            logits, hazard = self._pitch_logits(g, None if keys is None else keys[..., 0], last, choice.trust)
            pitch = _choose_pitch(logits, hazard, last, struck, choice)
            rows = torch.arange(batch, device=s.device)
            duration = self._duration_logits(g, None if keys is None else _known(keys, rows, pitch))
            bits = _median(duration) if choice.median and choice.temperature <= 0 else _choose(duration, choice)
            note = torch.cat([pitch[:, None], bits], dim=-1)
            length = torch.where(~ended & (pitch == END), k, length)
            ended = ended | (pitch == END)
            grid[:, k - 1] = note
            pitches.append(logits)
            durations.append(duration)
            embedded.append(self.embed(note))
            forced = False
            if k < PREDICTED:
                forced = coin() < ratio and truth is not None
            x = true_notes[:, k] if forced else embedded[-1]
            before = truth[:, k, 0] if forced else pitch
            last = torch.where(before < START, torch.maximum(last, before - LOWEST_KEY), last)
            struck = struck.scatter(1, before.clamp(max=END)[:, None], True)
        missing = PREDICTED - len(pitches)
        if missing:
            pitches += [torch.zeros_like(pitches[0])] * missing
            durations += [torch.zeros_like(durations[0])] * missing
        return torch.stack(pitches, 1), torch.stack(durations, 1), grid, torch.stack(embedded, 1), length

    def _pitch_logits(
        self, g: Tensor, evidence: Tensor | None, last: Tensor, trust: float = 1.0
    ) -> tuple[Tensor, Tensor | None]:
        """(N, 130) logits, and with `keys` the (N, 88) yes-or-no logits they are made of."""
        raw = self.pitch_out_linear(g)
        if evidence is None:
            return raw, None
        hazard = trust * raw[:, LOWEST_KEY : LOWEST_KEY + KEYS].float() + evidence.float()
        above = torch.arange(KEYS, device=g.device) > last[:, None]
        passed = F.logsigmoid(-hazard) * above  # log-probability that a key stays silent
        before = passed.cumsum(-1)
        struck = torch.where(above, F.logsigmoid(hazard) + before - passed, IMPOSSIBLE)
        logits = struck.new_full((len(g), CLASSES), IMPOSSIBLE)
        logits[:, LOWEST_KEY : LOWEST_KEY + KEYS] = struck
        logits[:, END] = before[:, -1]
        return logits, hazard

    def _duration_logits(self, g: Tensor, known: Tensor | None) -> Tensor:
        """(N, 5, 2); `known` (N, 5) adds what the sound says of the length of the chosen key."""
        logits = self.dur_out_linear(g).reshape(-1, BITS, 2)
        if known is None:
            return logits
        return logits.float() + torch.stack([torch.zeros_like(known), known], dim=-1).float()

    # -- teacher forcing everywhere, fast -------------------------------------------------------------------------

    def forced(
        self,
        z: Tensor,
        features: Tensor | None,
        truth: Tensor,
        *,
        heard: Tensor | None = None,
        forget: Tensor | None = None,
        local: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> ForcedNotes:
        """As `forward` with both ratios 1 (and lengths without the end mark), on the slots that hold something.

        Parameters
        ----------
        truth : (B, 32, 16, 6) int
        heard : (B, 32, 16, 6) int, optional
            What the decoder is told it wrote, when that is not the truth: noise that teaches it to trust the sound.
            Notes stand in the same slots; a note may be padding.
        forget : (B, 32) bool, optional
            Steps whose summary is replaced by the first token.
        """
        batch, device = truth.shape[0], truth.device
        flat = truth.flatten(0, 1)  # (R, 16, 6), R = B * 32
        heard = flat if heard is None else heard.flatten(0, 1)
        count = (flat[:, 1:, 0] < START).sum(-1)  # notes of each row
        notes = self.embed(heard)  # (R, 16, E)
        blank = torch.cat([heard.new_tensor([START]), heard.new_full((BITS,), NO_BIT)])
        empty = self.summary(self.embed(blank)[None, None], torch.ones(1, dtype=torch.long))
        full = torch.nonzero(count).squeeze(1)
        tokens = empty.expand(len(flat), -1).clone()
        if len(full):
            most = 1 + int(count.max())
            tokens[full] = self.summary(notes[full, :most], 1 + count[full]).to(tokens.dtype)
        tokens = tokens.unflatten(0, (batch, STEPS))
        if forget is not None:
            tokens = torch.where(forget.unsqueeze(-1), self.dec_init_input.to(tokens.dtype), tokens)
        first = self.dec_init_input.to(tokens.dtype).expand(batch, 1, -1)
        constant = self.z2dec_in_linear(z)[:, None].expand(-1, STEPS, -1)
        parts = [torch.cat([first, tokens[:, :-1]], dim=1), constant]
        parts += [p for p in (features, local) if p is not None]
        h = self.z2dec_hid_linear(z)[None].contiguous()
        x = torch.cat([p.to(constant.dtype) for p in parts], dim=-1)
        s = self.dec_time_gru(x, h.to(x.dtype))[0].flatten(0, 1)  # (R, time_units)

        order = torch.argsort(count, descending=True, stable=True)
        s, notes, count = s[order], notes[order], count[order]
        gru, units = self.dec_notes_gru, s.shape[1]
        fixed = F.linear(s, gru.weight_ih_l0[:, :units], gru.bias_ih_l0)
        g = self.dec_time_to_notes_hid(s)
        most = int(count[0]) + 1
        rows = [int((count >= k).sum()) for k in range(most)]  # that have a slot k + 1: notes and the end mark
        states = []
        for k, n in enumerate(rows):  # slices of slices: their gradients are no larger than they
            fixed, notes, g = fixed[:n], notes[:n], g[:n]
            told = F.linear(notes[:, k], gru.weight_ih_l0[:, units:])
            g = _gates(fixed + told, F.linear(g, gru.weight_hh_l0, gru.bias_hh_l0), g)
            states.append(g)
        row = torch.cat([order[:n] for n in rows])
        slot = torch.cat([torch.full((n,), k + 1, device=device) for k, n in enumerate(rows)])
        g = torch.cat(states)
        target = flat[row, slot]
        before = flat[row, slot - 1, 0]
        last = torch.where(before < START, before - LOWEST_KEY, -1)
        onset = known = None
        if keys is not None:
            keys = keys.flatten(0, 1)  # (R, 88, 6)
            onset, known = keys[..., 0][row], _known(keys, row, target[:, 0])
        pitch, _ = self._pitch_logits(g, onset, last)
        return ForcedNotes(pitch, self._duration_logits(g, known), target)


# -- parts --------------------------------------------------------------------------------------------------------


def gru_step(gru: nn.GRU, x: Tensor, h: Tensor) -> Tensor:
    """One step of a GRU of one layer."""
    return torch.gru_cell(x, h, gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0)


def _gates(inputs: Tensor, hidden: Tensor, h: Tensor) -> Tensor:
    """The same from its two products (N, 3 units)."""
    ri, zi, ni = inputs.chunk(3, dim=-1)
    rh, zh, nh = hidden.chunk(3, dim=-1)
    reset, update = torch.sigmoid(ri + rh), torch.sigmoid(zi + zh)
    fresh = torch.tanh(ni + reset * nh)
    return fresh + update * (h - fresh)


def _known(keys: Tensor, row: Tensor, pitch: Tensor) -> Tensor:
    """(N, 5) duration evidence of the keys `pitch` (N,) in the rows `row` (N,) of `keys` (R, 88, 6)."""
    return keys[row, (pitch - LOWEST_KEY).clamp(0, KEYS - 1), 1:]


def _choose(logits: Tensor, choice: Choice) -> Tensor:
    """Indices (...,) from logits (..., classes)."""
    if choice.temperature <= 0:
        return logits.argmax(-1)
    odds = torch.softmax(logits.float() / choice.temperature, dim=-1)
    drawn = torch.multinomial(odds.reshape(-1, odds.shape[-1]), 1, generator=choice.generator)
    return drawn.reshape(logits.shape[:-1])


def _median(logits: Tensor) -> Tensor:
    """Bits (N, 5) of the median duration, from logits (N, 5, 2)."""
    places = torch.arange(BITS - 1, -1, -1, device=logits.device)
    table = ((torch.arange(LONGEST, device=logits.device)[:, None] >> places) & 1).float()  # (32, 5)
    odds = torch.log_softmax(logits.float(), dim=-1)
    share = (odds[..., 1] @ table.t() + odds[..., 0] @ (1.0 - table.t())).exp()  # (N, 32)
    middle = (share.cumsum(-1) < 0.5).sum(-1).clamp(max=LONGEST - 1)
    return (middle[:, None] >> places) & 1


def _choose_pitch(logits, hazard, last, struck, choice: Choice) -> Tensor:
    """(B,) pitches or marks."""
    if hazard is not None and choice.temperature <= 0:
        keys = torch.arange(KEYS, device=logits.device)
        passes = (keys > last[:, None]) & (torch.sigmoid(hazard) >= choice.threshold)
        first = passes.int().argmax(-1) + LOWEST_KEY
        return torch.where(passes.any(-1), first, END)
    if not choice.compat:
        logits = logits.masked_fill(struck, IMPOSSIBLE)
        logits[:, START] = IMPOSSIBLE
    return _choose(logits, choice)
