// Follows the events and draws them; what was missed while the line was down is asked for by the
// browser itself (Last-Event-ID).

import { People } from "./people.js";
import { StreamView } from "./view.js";

const TICK = 200; // ms
const QUIET = 20; // seconds without an event before it is said
const RETRY = 3_000; // ms
const MAX_STREAMS = 64;

const views = new Map();
let mayEnrol = false;
let connected = false;
let heard = 0; // when the last event came

const people = new People((may) => {
  mayEnrol = may;
  for (const view of views.values()) {
    view.mayEnrol = may;
    view.changed = true;
  }
});

function seconds() {
  return performance.now() / 1000;
}

function apply(envelope) {
  const name = envelope.stream;
  let view = views.get(name);
  if (!view) {
    if (views.size >= MAX_STREAMS) return;
    view = new StreamView(name, (speaker) => people.enrol(name, speaker));
    view.mayEnrol = mayEnrol;
    views.set(name, view);
    document.getElementById("streams").append(view.element);
  }
  view.apply(envelope, seconds());
}

function follow() {
  const source = new EventSource("/events");
  source.addEventListener("open", () => { connected = true; });
  source.addEventListener("state", (message) => {
    views.clear();
    document.getElementById("streams").replaceChildren();
    take(message);
    people.refresh();
  });
  source.addEventListener("events", take);
  source.addEventListener("error", () => {
    connected = false;
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    setTimeout(follow, RETRY);
  });
}

function take(message) {
  const envelopes = JSON.parse(message.data);
  for (const envelope of envelopes) apply(envelope);
  heard = seconds();
  if (envelopes.some(({ event }) => event.type === "speaker.merged")) people.refresh();
}

function draw() {
  const now = seconds();
  for (const view of views.values()) view.draw(now);
  document.getElementById("waiting").hidden = views.size > 0;
  const over = views.size > 0 && [...views.values()].every((view) => view.timeline.ended);
  const silent = heard > 0 && !over && now - heard > QUIET;
  const link = document.getElementById("link");
  let text = "live";
  if (!connected) text = "connecting";
  else if (heard === 0) text = "waiting for the daemon";
  else if (over) text = "ended";
  else if (silent) text = `no word from the daemon for ${Math.floor((now - heard) / 10) * 10} s`;
  if (link.textContent !== text) link.textContent = text;
  link.dataset.state = text === "live" ? "live" : over ? "ended" : "waiting";
}

follow();
people.refresh();
setInterval(() => { if (!document.hidden) draw(); }, TICK);
document.addEventListener("visibilitychange", draw);
