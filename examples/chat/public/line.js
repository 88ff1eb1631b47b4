// A line to a room: a WebSocket, else a stream of events, else long polls. Each comes back after a break by itself, with
// the id of what it has heard last.

const WAYS = { socket, stream, poll }

/** Failures in a row, with nothing heard between, after which the next way is tried. */
const TRIES = 2

export function connect(url, who, via, { onevent, onstate }) {
  const ways = via ? [via] : Object.keys(WAYS)
  const line = { url, who, last: null, say: said => post(line, said) }
  let failures = 0
  const open = () => {
    const way = ways[Math.floor(failures / TRIES) % ways.length]
    line.say = said => post(line, said)
    WAYS[way](line, {
      opened() {
        failures = 0
        onstate(`online by ${way}`)
      },
      heard(id, data) {
        line.last = id ?? line.last
        if (data) {
          onevent(data)
        }
      },
      closed() {
        failures += 1
        onstate("offline")
        // Not all at once, when a server comes back that many have lost.
        setTimeout(open, 200 + Math.random() * 300)
      },
    })
  }
  open()
  return { say: said => line.say(said) }
}

function query({ who, last }) {
  const query = new URLSearchParams({ who })
  if (last) {
    query.set("after", last)
  }
  return query
}

function socket(line, { opened, heard, closed }) {
  const { host, protocol } = location
  const scheme = protocol === "https:" ? "wss" : "ws"
  const socket = new WebSocket(`${scheme}://${host}${line.url}/socket?${query(line)}`)
  line.say = said => {
    // What is not sent is sent when the next one has opened.
    if (socket.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify(said))
    }
  }
  socket.onopen = opened
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data)
    heard(message.id, message.data)
  }
  socket.onclose = closed
}

function stream(line, { opened, heard, closed }) {
  const source = new EventSource(`${line.url}?${query(line)}`)
  source.onopen = opened
  source.onmessage = ({ lastEventId, data }) => heard(lastEventId, JSON.parse(data))
  source.onerror = () => {
    // It would come back by itself; but whether it should be this way is not its to say.
    source.close()
    closed()
  }
}

async function poll(line, { opened, heard, closed }) {
  try {
    for (let first = true; ; first = false) {
      // The head comes at once, the rest when there is something to tell.
      const response = await fetch(`${line.url}/poll?${query(line)}`)
      if (!response.ok) {
        throw new Error(response.statusText)
      }
      if (first) {
        opened()
      }
      const { id, messages } = await response.json()
      messages.forEach(({ data }) => heard(null, data))
      heard(id)
    }
  } catch {
    closed()
  }
}

async function post({ url }, said) {
  const headers = { "content-type": "application/json" }
  // What does not arrive is said again when the line is there again.
  await fetch(url, { method: "POST", headers, body: JSON.stringify(said) }).catch(() => {})
}
