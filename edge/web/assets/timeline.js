// What the page knows of one stream, brought forward by its events: edge/timeline.py for browsers.
// Memory is bounded: segments older than the horizon leave, and only their seconds are kept.

export const RATE = 16_000; // samples a second, of all positions
const HORIZON = 600 * RATE;
const MAX_SEGMENTS = 5_000;
const MAX_SPEAKERS = 100;
const MAX_LOSSES = 200;
const FRESH = 2 * RATE;

export class Timeline {
  // segments: by id, in their latest revision. verdicts: by segment. speakers: name to the samples
  // of those segments that have left; without guesses that no segment bears any more. created: the
  // voices among them that came to be. losses: spans that were not heard. source: what is heard, or
  // null. away: why nothing is heard, or "". health: the last heartbeat.
  constructor() {
    this.session = null;
    this.clear();
  }

  clear() {
    this.segments = new Map();
    this.verdicts = new Map();
    this.speakers = new Map();
    this.created = new Set();
    this.losses = [];
    this.position = 0;
    this.speaking = false;
    this.source = null;
    this.away = "";
    this.health = null;
  }

  apply({ session, sample, event }) {
    if (session !== this.session) {
      this.clear();
      this.session = session;
    }
    this.position = Math.max(this.position, sample);
    HANDLERS[event.type]?.(this, event);
    this.forget();
  }

  get ended() {
    return this.health?.final ?? false;
  }

  // The latest segment, while somebody speaks and if it is fresh; else null.
  get current() {
    let latest = null;
    for (const segment of this.segments.values()) {
      if (latest === null || segment.end > latest.end) latest = segment;
    }
    const fresh = latest !== null && latest.end >= this.position - FRESH;
    return this.speaking && fresh ? latest : null;
  }

  // Samples that each speaker has spoken.
  spoken() {
    const total = new Map(this.speakers);
    for (const segment of this.segments.values()) {
      for (const { start, end, speaker } of voices(segment)) {
        total.set(speaker, (total.get(speaker) ?? 0) + end - start);
      }
    }
    return total;
  }

  put(segment) {
    const known = this.segments.get(segment.id);
    if (segment.end < this.position - HORIZON || (known && known.rev >= segment.rev)) return;
    this.segments.set(segment.id, segment);
    for (const { speaker } of voices(segment)) this.hear(speaker);
    for (const { speaker } of known ? voices(known) : []) {
      const guess = !this.created.has(speaker) && !this.speakers.get(speaker);
      if (guess && !this.heard().has(speaker)) this.speakers.delete(speaker);
    }
  }

  // Who speaks in the segments.
  heard() {
    return new Set([...this.segments.values()].flatMap(voices).map((voice) => voice.speaker));
  }

  hear(speaker) {
    if (!this.speakers.has(speaker)) this.speakers.set(speaker, 0);
  }

  merge({ speaker, into }) {
    const gone = this.speakers.get(speaker) ?? 0;
    this.speakers.delete(speaker);
    this.created.delete(speaker);
    this.speakers.set(into, (this.speakers.get(into) ?? 0) + gone);
    const name = (word) => (word === speaker ? into : word);
    for (const segment of this.segments.values()) {
      segment.speaker = name(segment.speaker);
      segment.overlaps = (segment.overlaps ?? [])
        .map((other) => ({ ...other, speaker: name(other.speaker) }))
        .filter((other) => other.speaker !== segment.speaker);
    }
  }

  lose(event) {
    this.losses.push({ start: event.start, end: event.end, type: event.type });
    if (this.losses.length > MAX_LOSSES) this.losses.shift();
  }

  forget() {
    const oldest = this.position - HORIZON;
    while (this.losses.length > 0 && this.losses[0].end < oldest) this.losses.shift();
    for (const segment of this.segments.values()) {
      if (segment.end >= oldest && this.segments.size <= MAX_SEGMENTS) break;
      this.segments.delete(segment.id);
      this.verdicts.delete(segment.id);
      for (const { start, end, speaker } of voices(segment)) {
        this.speakers.set(speaker, (this.speakers.get(speaker) ?? 0) + end - start);
      }
    }
    if (this.speakers.size > MAX_SPEAKERS + this.segments.size) {
      const heard = this.heard();
      const names = [...this.speakers.keys()];
      for (const name of names.slice(0, -MAX_SPEAKERS)) {
        if (!heard.has(name)) {
          this.speakers.delete(name);
          this.created.delete(name);
        }
      }
    }
  }
}

const HANDLERS = {
  segment: (timeline, event) => timeline.put({ ...event }),
  verdict: (timeline, event) => {
    if (timeline.segments.has(event.segment)) timeline.verdicts.set(event.segment, event);
  },
  health: (timeline, event) => { timeline.health = event; },
  "speaker.created": (timeline, event) => {
    timeline.hear(event.speaker);
    timeline.created.add(event.speaker);
  },
  "speaker.merged": (timeline, event) => timeline.merge(event),
  "speech.started": (timeline) => { timeline.speaking = true; },
  "speech.stopped": (timeline) => { timeline.speaking = false; },
  "source.opened": (timeline, event) => { timeline.source = event; },
  "source.restored": (timeline, event) => {
    timeline.source = event;
    timeline.away = "";
  },
  "source.lost": (timeline, event) => {
    timeline.speaking = false;
    timeline.away = event.reason;
  },
  "source.gap": (timeline, event) => timeline.lose(event),
  "source.overflow": (timeline, event) => timeline.lose(event),
};

// Everybody who talks in a segment, its own speaker first.
export function voices(segment) {
  return [segment, ...(segment.overlaps ?? [])];
}
