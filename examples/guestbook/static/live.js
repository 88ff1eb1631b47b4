// Shows times as the reader's clock has them, and adds entries as they are signed. Without it the page works too.

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function tellTime(time) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.valueOf())) time.textContent = clock.format(at);
}

function add(list, blank, { id, at, name, message }) {
  if (document.getElementById(`entry-${id}`)) return;
  const entry = blank.content.firstElementChild.cloneNode(true);
  entry.id = `entry-${id}`;
  entry.dataset.tone = id % 5;
  entry.classList.add("new");
  // As text: what others have written never becomes markup.
  entry.querySelector(".initial").textContent = [...name][0].toUpperCase();
  entry.querySelector(".name").textContent = name;
  entry.querySelector(".message").textContent = message;
  const time = entry.querySelector("time");
  time.dateTime = at;
  tellTime(time);
  list.prepend(entry);
  document.querySelector(".empty")?.remove();
}

document.querySelectorAll("time").forEach(tellTime);

// Pages of older entries have neither.
const blank = document.getElementById("blank");
const lamp = document.getElementById("live");
if (blank && lamp) {
  const list = document.getElementById("entries");
  const events = new EventSource(`/live?after=${list.dataset.newest}`);
  events.addEventListener("entry", (event) => add(list, blank, JSON.parse(event.data)));
  events.addEventListener("open", () => (lamp.hidden = false));
  // The browser connects anew by itself, and says what it has seen.
  events.addEventListener("error", () => (lamp.hidden = true));
}
