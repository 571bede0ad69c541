// Draws one stream: who speaks now, a lane for each speaker, the latest turns, and its health.

import { RATE, Timeline, voices } from "./timeline.js";

const WINDOW = 120 * RATE;
const LANES = 12;
const TURNS = 12;
const COLOURS = 8;
const UNKNOWN = "unknown";
const NAMELESS = /^speaker\d+$/;
const AHEAD = 6; // seconds that the picture goes on by itself while no event comes

export class StreamView {
  // onEnrol is called with the name of a voice when its button is pressed.
  constructor(name, onEnrol) {
    this.timeline = new Timeline();
    this.onEnrol = onEnrol;
    this.mayEnrol = false;
    this.arrived = 0;
    this.lanes = new Map();
    this.colours = new Map();
    this.element = copy("stream");
    this.find = (selector) => this.element.querySelector(selector);
    this.find(".name").textContent = name;
    this.element.dataset.stream = name;
  }

  apply(envelope, now) {
    this.timeline.apply(envelope);
    this.arrived = now;
    this.changed = true;
  }

  // Called a few times a second, with a clock in seconds.
  draw(now) {
    const { timeline } = this;
    const still = timeline.ended || timeline.away !== "";
    const onward = still ? 0 : Math.min(now - this.arrived, AHEAD) * RATE;
    const end = Math.max(timeline.position + onward, WINDOW);
    this.find(".clock").textContent = clock((timeline.position + onward) / RATE);
    this.drawAxis(end);
    if (this.changed) this.drawChanges();
    for (const lane of this.lanes.values()) lane.draw(end - WINDOW, timeline.losses);
    this.changed = false;
  }

  drawChanges() {
    const { timeline } = this;
    const current = timeline.current;
    const spoken = timeline.spoken();
    this.drawNow(current);
    const shown = this.visible();
    for (const [speaker, lane] of this.lanes) {
      if (!shown.includes(speaker)) {
        lane.element.remove();
        this.lanes.delete(speaker);
      }
    }
    for (const speaker of shown) {
      let lane = this.lanes.get(speaker);
      if (!lane) {
        lane = new Lane(speaker, this.colour(speaker), () => this.onEnrol(speaker));
        this.lanes.set(speaker, lane);
        this.find(".lanes").append(lane.element);
      }
      const parts = [];
      for (const segment of timeline.segments.values()) {
        for (const voice of voices(segment)) {
          if (voice.speaker === speaker) parts.push({ segment, ...span(voice), own: voice === segment });
        }
      }
      const speaks = current !== null && current.speaker === speaker;
      const verdict = timeline.verdicts.get(parts.findLast((part) => part.own)?.segment.id);
      lane.update(parts, (spoken.get(speaker) ?? 0) / RATE, speaks, verdict, this.mayEnrol);
    }
    this.drawTurns();
    this.drawHealth();
  }

  // Those heard last, in order of appearance; who is not recognised yet comes last.
  visible() {
    const heard = new Map();
    for (const segment of this.timeline.segments.values()) {
      for (const { speaker, end } of voices(segment)) {
        heard.set(speaker, Math.max(heard.get(speaker) ?? 0, end));
      }
    }
    const recent = [...heard.keys()].sort((a, b) => heard.get(b) - heard.get(a)).slice(0, LANES);
    const order = [...this.timeline.speakers.keys()].filter((name) => recent.includes(name));
    return order.sort((a, b) => (a === UNKNOWN) - (b === UNKNOWN));
  }

  // A speaker keeps the colour that was theirs first, and what a merged one had becomes free.
  colour(speaker) {
    if (speaker === UNKNOWN) return "unknown";
    for (const name of this.colours.keys()) {
      if (!this.timeline.speakers.has(name)) this.colours.delete(name);
    }
    if (!this.colours.has(speaker)) {
      const used = [...this.colours.values()];
      const free = [...Array(COLOURS).keys()].find((number) => !used.includes(number));
      this.colours.set(speaker, free ?? this.colours.size % COLOURS);
    }
    return String(this.colours.get(speaker));
  }

  drawNow(current) {
    const { timeline } = this;
    const now = this.find(".now");
    const alarm = this.find(".alarm");
    const source = timeline.source;
    const heard = source && `${source.name}, ${source.rate / 1000} kHz`;
    this.find(".source").textContent = heard ?? "";
    alarm.hidden = timeline.away === "" || timeline.ended;
    alarm.textContent = `Nothing is heard: ${timeline.away}`;
    let text = timeline.speaking ? "Somebody speaks" : "Silence";
    if (timeline.ended) text = "The stream has ended";
    delete now.dataset.colour;
    if (current !== null && !timeline.ended) {
      const others = (current.overlaps ?? []).filter((other) => other.end >= current.end - RATE);
      const names = [current, ...others].map((voice) => voice.speaker);
      text = current.speaker === UNKNOWN ? "A voice, not yet recognised" : `${names.join(" and ")} ${names.length > 1 ? "speak" : "speaks"}`;
      now.dataset.colour = this.colour(current.speaker);
    }
    if (now.textContent !== text) now.textContent = text;
  }

  drawAxis(end) {
    const axis = this.find(".axis");
    const step = 15 * RATE;
    const first = Math.ceil((end - WINDOW) / step);
    const count = Math.floor(end / step) - first + 1;
    while (axis.children.length > count) axis.lastChild.remove();
    while (axis.children.length < count) axis.append(document.createElement("span"));
    [...axis.children].forEach((tick, index) => {
      const at = (first + index) * step;
      place(tick, at, null, end - WINDOW);
      tick.classList.toggle("minor", (first + index) % 2 !== 0);
      const text = clock(at / RATE);
      if (tick.textContent !== text) tick.textContent = text;
    });
  }

  drawTurns() {
    const latest = [...this.timeline.segments.values()].sort((a, b) => b.start - a.start);
    const rows = latest.slice(0, TURNS).map((segment) => {
      const row = document.createElement("tr");
      const verdict = this.timeline.verdicts.get(segment.id);
      const who = document.createElement("span");
      who.className = "chip";
      who.dataset.colour = this.colour(segment.speaker);
      who.textContent = segment.speaker;
      const cells = [
        `${clock(segment.start / RATE)} – ${clock(segment.end / RATE)}`,
        who,
        segment.llr == null ? "" : signed(segment.llr),
        verdict ? verdictText(verdict) : "",
        segment.state,
      ];
      cells.forEach((content, index) => {
        const cell = document.createElement("td");
        if (index === 2) cell.className = "number";
        cell.append(content);
        row.append(cell);
      });
      return row;
    });
    this.find("tbody").replaceChildren(...rows);
  }

  drawHealth() {
    const health = this.timeline.health;
    if (health === null) return;
    const facts = [
      ["behind", `${Math.round(health.lag * 1000)} ms`],
      ["level", health.level == null ? "not yet known" : `${Math.round(health.level)} dBFS`],
      ["clock", health.drift == null ? "not yet known" : `${signed(health.drift)} ppm`],
      ["dropped", `${(health.overflowed / RATE).toFixed(1)} s`, health.overflowed > 0],
      ["not captured", `${(health.missing / RATE).toFixed(1)} s`, health.missing > 0],
      ["voices", String(health.speakers)],
      ["memory", `${Math.round(health.rss / 1e6)} MB`],
    ];
    if (health.shedding > 0) facts.push(["overload", `step ${health.shedding} of 2`, true]);
    this.find(".health").replaceChildren(...facts.map(([term, text, bad]) => {
      const fact = document.createElement("div");
      fact.classList.toggle("bad", bad === true);
      const [name, value] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = term;
      value.textContent = text;
      fact.append(name, value);
      return fact;
    }));
  }
}

class Lane {
  constructor(speaker, colour, onEnrol) {
    this.speaker = speaker;
    this.parts = [];
    this.bars = new Map();
    this.element = copy("lane");
    this.element.dataset.colour = colour;
    this.element.dataset.speaker = speaker;
    this.find = (selector) => this.element.querySelector(selector);
    this.find(".speaker").textContent = speaker === UNKNOWN ? "not recognised" : speaker;
    this.find(".enrol").setAttribute("aria-label", `Enrol ${speaker}`);
    this.find(".enrol").addEventListener("click", onEnrol);
  }

  update(parts, seconds, speaks, verdict, mayEnrol) {
    this.parts = parts;
    this.element.classList.toggle("speaks", speaks);
    this.find(".enrol").hidden = !(mayEnrol && NAMELESS.test(this.speaker));
    this.find(".seconds").textContent = `${seconds.toFixed(1)} s`;
    this.find(".track").setAttribute("aria-label", `${this.speaker}, ${seconds.toFixed(0)} seconds`);
    const note = this.find(".verdict");
    note.textContent = verdict ? verdictText(verdict) : "";
    note.dataset.answer = verdict?.answer ?? "";
  }

  draw(from, losses) {
    const drawn = new Set();
    for (const part of this.parts) {
      const { segment, own } = part;
      const key = own ? `${segment.id}` : `${segment.id}/${part.start}`;
      if (part.end > from) this.bar(drawn, key, part, from, own ? segment.state : "overlap", segment);
    }
    for (const loss of losses) {
      if (loss.end > from) this.bar(drawn, `lost ${loss.start}`, loss, from, "lost", null);
    }
    for (const [key, bar] of this.bars) {
      if (!drawn.has(key)) {
        bar.remove();
        this.bars.delete(key);
      }
    }
  }

  bar(drawn, key, { start, end }, from, kind, segment) {
    drawn.add(key);
    let bar = this.bars.get(key);
    if (!bar) {
      bar = document.createElement("span");
      this.bars.set(key, bar);
      this.find(".track").append(bar);
    }
    if (bar.className !== `bar ${kind}`) bar.className = `bar ${kind}`;
    Object.assign(bar.dataset, { start, end });
    if (segment !== null) bar.dataset.segment = segment.id;
    place(bar, start, end, from);
    const when = `${clock(start / RATE)} – ${clock(end / RATE)}`;
    const llr = segment?.llr == null ? "" : `, llr ${signed(segment.llr)}`;
    bar.title = kind === "lost" ? `${when}, not heard` : `${when}, ${kind}${llr}`;
  }
}

function copy(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

function span({ start, end }) {
  return { start, end };
}

function place(element, start, end, from) {
  const left = Math.max(start, from);
  element.style.left = `${(100 * (left - from)) / WINDOW}%`;
  if (end !== null) element.style.width = `${(100 * Math.max(end - left, 0)) / WINDOW}%`;
}

function verdictText({ claimed, answer, llr, evidence }) {
  return `${claimed}? ${answer}, llr ${signed(llr)} on ${evidence.toFixed(1)} s`;
}

function signed(number) {
  return (number < 0 ? "−" : "+") + Math.abs(number).toFixed(1);
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const rest = `${String(m).padStart(h ? 2 : 1, "0")}:${String(s).padStart(2, "0")}`;
  return h ? `${h}:${rest}` : rest;
}
