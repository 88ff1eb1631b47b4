// The script of `dev` in every page: loads it again when it has changed, and shows what is wrong with the sources.
(() => {
  "use strict"
  const [timing] = performance.getEntriesByType("navigation")
  const told = timing?.serverTiming?.find(({ name }) => name === "cepa-dev")?.description
  // Where the page itself was not told (it is no secure context), what was served with the script counts.
  const page = told ?? "PAGE"
  let events, panel

  function listen() {
    events = new EventSource("/__dev/events")
    events.onmessage = ({ data }) => show(JSON.parse(data))
  }

  function show(state) {
    if (state.page !== page) {
      events.close()
      return location.reload()
    }
    panel?.remove()
    panel = undefined
    const { trouble, building } = state
    if (!trouble && !building) return
    panel = document.createElement("cepa-dev")
    const root = panel.attachShadow({ mode: "open" })
    // A sheet that is made by script is no inline style to a Content-Security-Policy.
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(trouble ? TROUBLE : BUILDING)
    root.adoptedStyleSheets = [sheet]
    const box = add(root, "div")
    add(box, "h1").textContent = (trouble?.title ?? "Building") + (trouble && building ? " (building again)" : "")
    if (trouble) {
      box.setAttribute("role", "alert")
      colour(add(box, "pre"), trouble.text)
      add(box, "p").textContent = "The page reloads by itself. Escape hides this."
    }
    document.documentElement.append(panel)
  }

  function add(parent, name) {
    return parent.appendChild(document.createElement(name))
  }

  /** Shows text with the colours that terminals know (ECMA-48, SGR). */
  function colour(parent, text) {
    let bold = false, hue = ""
    text.split(/\x1b\[([\d;]*)m/).forEach((part, at) => {
      if (at % 2 === 0) {
        const span = add(parent, "span")
        span.textContent = part
        span.className = `${bold ? "bold" : ""} ${hue}`
        return
      }
      const codes = part.split(";").map(Number)
      if (codes[0] === 0) bold = false, hue = ""
      else if (codes[0] === 1) bold = true
      else if (codes[0] === 38 && codes[1] === 5) hue = `c${codes[2] % 8}`
      else if (codes[0] >= 30 && codes[0] < 38) hue = `c${codes[0] - 30}`
      else if (codes[0] >= 90 && codes[0] < 98) hue = `c${codes[0] - 90}`
    })
  }

  const BUILDING = `
    div { position: fixed; right: 1rem; bottom: 1rem; z-index: 2147483647; padding: .5rem 1rem;
      border-radius: .5rem; background: #222c; pointer-events: none }
    h1 { margin: 0; font: 14px system-ui, sans-serif; color: #fff }`
  const TROUBLE = `
    div { position: fixed; inset: 0; z-index: 2147483647; overflow: auto; padding: 2rem;
      background: #16181df2; color: #e6e6e6; border-top: 6px solid #e5534b }
    h1 { margin: 0 0 1rem; font: bold 20px system-ui, sans-serif; color: #ff8a80 }
    pre { margin: 0; font: 13px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
    p { font: 13px system-ui, sans-serif; color: #9aa0a6 }
    .bold { font-weight: bold } .c1 { color: #ff8a80 } .c2 { color: #8bd48b } .c3 { color: #f0c674 }
    .c4 { color: #82aaff } .c5 { color: #d6a2e8 } .c6 { color: #7fdbca } .c7 { color: #fff }`

  addEventListener("keydown", ({ key }) => {
    if (key === "Escape") panel?.remove()
  })
  // A browser opens few connections to one host, and many tabs may be open.
  document.addEventListener("visibilitychange", () => {
    events?.close()
    if (document.visibilityState === "visible") listen()
  })
  if (document.visibilityState === "visible") listen()
})()
