// The page: what is said in a room, over the best way there is, and nothing twice or lost.

import { connect } from "./line.js"

const $ = id => document.getElementById(id)

/** What this page has said and not heard back, by id: it is said again after every break. */
const unheard = new Map()

let room

$("enter").addEventListener("submit", event => {
  event.preventDefault()
  const { room: name, who } = Object.fromEntries(new FormData(event.target))
  // ?via=socket, stream or poll: this way and no other.
  const via = new URLSearchParams(location.search).get("via")
  room = { who, line: connect(`/rooms/${encodeURIComponent(name)}`, who, via, { onevent, onstate }) }
  $("enter").hidden = true
  $("room").hidden = false
  $("say").elements.text.focus()
})

$("say").addEventListener("submit", event => {
  event.preventDefault()
  const { text } = event.target.elements
  const said = { id: crypto.randomUUID(), by: room.who, text: text.value }
  text.value = ""
  unheard.set(said.id, said)
  show(said, true)
  room.line.say(said)
})

function onstate(state) {
  $("state").textContent = state
  if (state.startsWith("online")) {
    for (const said of unheard.values()) {
      room.line.say(said)
    }
  }
}

function onevent({ said, here }) {
  if (here) {
    $("here").textContent = here.join(", ")
  }
  if (said) {
    unheard.delete(said.id)
    show(said, false)
  }
}

/** Shows a line in the order in which the room has it; one's own stand at the end until they are heard back. */
function show({ id, by, text }, waits) {
  const shown = document.getElementById(`line-${id}`)
  if (shown && !shown.classList.contains("waits")) {
    return
  }
  const item = shown ?? document.createElement("li")
  const name = document.createElement("b")
  name.textContent = by
  item.id = `line-${id}`
  item.classList.toggle("waits", waits)
  item.replaceChildren(name, text)
  const lines = $("lines")
  lines.insertBefore(item, waits ? null : lines.querySelector(".waits:not([id='" + item.id + "'])"))
  item.scrollIntoView({ block: "nearest" })
}
