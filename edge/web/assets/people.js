// Enrolled speakers, and the commands that change them: requests of edge/PROTOCOL.md.

const NOTHING = { done: false, reply: null };

export class People {
  constructor(onPermission) {
    this.onPermission = onPermission;
    this.dialog = document.getElementById("dialog");
    part("cancel").addEventListener("click", () => this.dialog.close());
  }

  // Asks who is enrolled; whether this page may command follows from the answer.
  async refresh() {
    const { done, reply } = await send({ type: "enrolled" });
    this.onPermission(done);
    const note = document.getElementById("enrolled-note");
    const list = document.getElementById("enrolled-list");
    if (!done) {
      note.textContent = `They are not shown and cannot be changed here: ${sentence(reply)}`;
      list.replaceChildren();
      return;
    }
    const { total, speakers } = reply;
    const more = total > speakers.length ? ` The first ${speakers.length} of ${total}.` : "";
    note.textContent = total === 0
      ? "Nobody yet. When somebody has spoken for a while, press Enrol beside their lane."
      : more;
    list.replaceChildren(...speakers.map((speaker) => this.row(speaker)));
  }

  row({ name, seconds }) {
    const row = document.getElementById("person").content.firstElementChild.cloneNode(true);
    row.querySelector(".speaker").textContent = name;
    row.querySelector(".seconds").textContent = `${seconds.toFixed(1)} s of speech`;
    for (const [action, run] of [["rename", this.rename], ["forget", this.forget]]) {
      const button = row.querySelector(`.${action}`);
      button.setAttribute("aria-label", `${button.textContent} ${name}`);
      button.addEventListener("click", () => run.call(this, name));
    }
    return row;
  }

  enrol(stream, speaker) {
    this.ask({
      title: `Who is ${speaker}?`,
      text: `All that ${speaker} has said in “${stream}” is enrolled under this name, or added to it.`,
      ok: "Enrol",
      name: "",
      request: (name) => ({ type: "enrol", name, stream, speaker }),
    });
  }

  rename(name) {
    this.ask({
      title: `Rename ${name}`,
      text: "The voice stays the same.",
      ok: "Rename",
      name,
      request: (word) => ({ type: "rename", name, new: word }),
    });
  }

  forget(name) {
    this.ask({
      title: `Forget ${name}?`,
      text: "Their voice is erased from the store. This cannot be undone.",
      ok: "Forget",
      name: null,
      request: () => ({ type: "forget", name }),
    });
  }

  // A question with an input for a name (none if `name` is null), and what is sent when confirmed.
  ask({ title, text, ok, name, request }) {
    part("title").textContent = title;
    part("text").textContent = text;
    part("error").textContent = "";
    part("ok").textContent = ok;
    part("ok").disabled = false;
    part("ok").classList.toggle("danger", name === null);
    for (const id of ["label", "name"]) part(id).hidden = name === null;
    part("name").required = name !== null;
    part("name").value = name ?? "";
    this.dialog.querySelector("form").onsubmit = async (event) => {
      event.preventDefault();
      part("ok").disabled = true;
      const { done, reply } = await send(request(part("name").value.trim()));
      part("ok").disabled = false;
      if (!done) {
        part("error").textContent = sentence(reply);
        return;
      }
      this.dialog.close();
      tell(reply.what);
      await this.refresh();
    };
    this.dialog.showModal();
    (name === null ? part("cancel") : part("name")).focus();
  }
}

function part(name) {
  return document.getElementById(`dialog-${name}`);
}

// Sends a request; `done` says whether it was carried out, `reply` is the answer or the refusal.
async function send(request) {
  try {
    const response = await fetch("/command", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ v: 1, id: 0, ...request }),
    });
    if (response.status === 401) location.reload();
    if (response.ok) return { done: true, reply: await response.json() };
    if (response.status === 409) return { ...NOTHING, reply: await response.json() };
    return { ...NOTHING, reply: { what: (await response.text()).trim(), remedy: "" } };
  } catch {
    return { ...NOTHING, reply: { what: "this page's server does not answer", remedy: "" } };
  }
}

function sentence({ what, remedy }) {
  return remedy ? `${what}. ${remedy}.` : `${what}.`;
}

function tell(text) {
  const done = document.getElementById("done");
  done.textContent = text;
  done.classList.add("shown");
  setTimeout(() => done.classList.remove("shown"), 4_000);
}
