// Puts files on the shelf and takes them off again, as a person does, with and without scripts.

import assert from "node:assert/strict"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { browse, follow, given, step, text } from "./browser.js"

const { home, folder } = given
const MB = 1e6
const awkward = `it's "quoted", ü & 日本 <b>.txt`

/** As browsers send it: they write a quote as `%22`, and a `%` as it is, so that nobody can take it back. */
const sent = awkward.replaceAll('"', "%22")

const files = await make({
  [awkward]: "awkward",
  "large.TXT": "large ".repeat(MB / 2),
  "more.txt": "more ".repeat(MB / 2),
  "too large.txt": "x".repeat(5 * MB),
  "page.html": "<script>alert(1)</script>",
})

await browse(async browser => {
  const page = await browser.newPage()
  await twoFilesWithProgress(page)
  await download(browser, page)
  await refused(page)
  await withoutScripts(browser)
})

/** Files of these names and texts; the path of each by its name. */
async function make(texts) {
  const paths = {}
  for (const [name, text] of Object.entries(texts)) {
    paths[name] = join(folder, name)
    await writeFile(paths[name], text)
  }
  return paths
}

async function choose(page, names) {
  const field = await page.$("input[type=file]")
  await field.uploadFile(...names.map(name => files[name]))
}

function listed(page) {
  return page.$$eval("td a", links => links.map(link => link.textContent).sort())
}

async function twoFilesWithProgress(page) {
  step("two files go up, and the page shows how far they are")
  const shown = []
  await page.exposeFunction("note", value => shown.push(value))
  await page.evaluateOnNewDocument(() => {
    addEventListener("DOMContentLoaded", () => {
      const progress = document.querySelector("progress")
      new MutationObserver(() => window.note(progress.value)).observe(progress, { attributeFilter: ["value"] })
    })
  })
  await page.goto(home)
  assert.deepEqual(await listed(page), [])
  const session = await page.createCDPSession()
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 4 * MB }
  await session.send("Network.emulateNetworkConditions", slow)
  await choose(page, [awkward, "large.TXT"])
  await page.type("[name=note]", "<b>bold</b>")
  await follow(page, () => page.click("button"))
  await session.send("Network.emulateNetworkConditions", { ...slow, uploadThroughput: -1 })
  assert.equal(page.url(), `${home}/`)
  assert.deepEqual(await listed(page), [sent, "large.TXT"].sort())
  assert.equal(await text(page, "td:last-child"), "<b>bold</b>")
  assert.ok(shown.some(value => value > 0 && value < 1), `half way: ${shown}`)
  assert.ok(shown.every((value, at) => at === 0 || shown[at - 1] <= value), `forwards: ${shown}`)
  assert.equal(shown.at(-1), 1)
}

async function download(browser, page) {
  step("a file comes down as it went up, under its name")
  const downloads = join(folder, "downloads")
  await mkdir(downloads)
  const session = await browser.target().createCDPSession()
  const behavior = { behavior: "allowAndName", downloadPath: downloads, eventsEnabled: true }
  await session.send("Browser.setDownloadBehavior", behavior)
  const done = new Promise((resolve, reject) => {
    let name
    session.on("Browser.downloadWillBegin", begun => { name = begun.suggestedFilename })
    session.on("Browser.downloadProgress", ({ state, guid }) => {
      if (state === "completed") resolve({ name, path: join(downloads, guid) })
      if (state === "canceled") reject(new Error("the download was cancelled"))
    })
  })
  await page.evaluate(name => {
    const links = [...document.querySelectorAll("td a")]
    links.find(link => link.textContent === name).click()
  }, sent)
  const { name, path } = await done
  // What a file name cannot hold everywhere, Chromium replaces.
  assert.equal(name, sent.replace(/[<>]/g, "_"))
  assert.equal(await readFile(path, "utf8"), "awkward")
}

async function refused(page) {
  for (const [names, message] of [
    [["too large.txt"], "a file larger than 4194304 bytes"],
    [["large.TXT", "more.txt", "too large.txt"], "Payload Too Large"],
    [["page.html"], "page.html"],
  ]) {
    step(`${names} is refused, and the page says why`)
    const before = await listed(page)
    await choose(page, names)
    await page.click("button")
    await page.waitForSelector("[role=alert]:not([hidden])")
    const told = await text(page, "[role=alert]")
    assert.ok(told.includes(message), told)
    await page.goto(home)
    assert.deepEqual(await listed(page), before)
  }
}

async function withoutScripts(browser) {
  step("the form works without scripts")
  const page = await browser.newPage()
  await page.setJavaScriptEnabled(false)
  await page.goto(home)
  await choose(page, ["more.txt"])
  await follow(page, () => page.click("button"))
  assert.equal(page.url(), `${home}/`)
  assert.ok((await listed(page)).includes("more.txt"))
  await choose(page, ["too large.txt"])
  const answer = await follow(page, () => page.click("button"))
  assert.equal(answer.status(), 413)
  assert.equal(await text(page, "body"), "a file larger than 4194304 bytes")
  await page.close()
}
