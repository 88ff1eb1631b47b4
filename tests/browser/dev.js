// Changes the files of an app that `dev` serves, as an editor does, and waits for the page to show it.

import assert from "node:assert/strict"
import { readFile, rename, writeFile } from "node:fs/promises"
import { browse, given, step, text } from "./browser.js"

const { home, folder } = given

await browse(async browser => {
  const page = await browser.newPage()
  page.setDefaultTimeout(60_000)
  page.on("pageerror", error => { throw error })
  step("the page is that of the app")
  await page.goto(home)
  await shows(page, "Hello, onion")

  step("a change of the source is built, and the page shows it")
  await change("src/service/greeting.rs", "\"Hello\"", "\"Good day\"")
  await shows(page, "Good day, onion")

  step("what does not compile is shown over the page, and the app goes on")
  await change("src/service/greeting.rs", "\"Good day\"", "\"Good day\" oops")
  const told = await trouble(page)
  assert.equal(told.title, "The build has failed")
  assert.match(told.text, /error: .*oops/s)
  assert.match(told.text, /src\/service\/greeting\.rs/)
  assert.ok(told.coloured, "the compiler's colours are kept")
  assert.equal(await text(page, "main h1"), "Good day, onion")
  const other = await browser.newPage()
  await other.goto(home)
  assert.equal(await text(other, "main h1"), "Good day, onion")
  assert.equal((await trouble(other)).title, "The build has failed")
  await other.close()

  step("it goes when it compiles again")
  await change("src/service/greeting.rs", "\"Good day\" oops", "\"Good evening\"")
  await shows(page, "Good evening, onion")
  await page.waitForFunction(() => !document.querySelector("cepa-dev"))

  step("so is what does not start, and the app goes on")
  await change("src/schedule.rs", "0 7 * * MON-FRI", "0 77 * * MON-FRI")
  const refused = await trouble(page)
  assert.equal(refused.title, "The app does not start")
  assert.match(refused.text, /77[^]*src\/schedule\.rs/)
  await change("src/schedule.rs", "0 77 * * MON-FRI", "0 7 * * MON-FRI")
  await page.waitForFunction(() => !document.querySelector("cepa-dev"))
  await shows(page, "Good evening, onion")

  step("a template is read again, and nothing is built for it")
  await change("view/home.html", "{{ greeting }}", "{{ greeting }}!")
  await shows(page, "Good evening, onion!")

  step("so is a public file")
  await change("public/style.css", "#b0457b", "rgb(1, 2, 3)")
  await page.waitForFunction(() => getComputedStyle(document.querySelector("main h1")).color === "rgb(1, 2, 3)")

  step("an answer that is an error becomes the page that it should have been")
  await page.goto(`${home}/later`)
  assert.equal(await page.evaluate(() => document.body.textContent.includes("404")), true)
  await change("src/app.rs", ".get(\"/\", home::index)", ".get(\"/\", home::index).get(\"/later\", home::index)")
  await shows(page, "Good evening, onion!")
})

/** Waits until the page shows this, by itself. */
async function shows(page, wanted) {
  await page.waitForFunction(wanted => document.querySelector("main h1")?.textContent === wanted, {}, wanted)
}

/** Waits until something is told over the page. */
async function trouble(page) {
  const panel = await page.waitForFunction(() => {
    const root = document.querySelector("cepa-dev")?.shadowRoot
    const text = root?.querySelector("pre")?.textContent
    const coloured = [...root?.querySelectorAll("pre span") ?? []].some(span => /c1/.test(span.className))
    // It is building again while it is told of an older fault.
    const title = root?.querySelector("h1").textContent
    return text && { title, text, coloured }
  })
  return panel.jsonValue()
}

/** Changes a file as editors do: a new one is put in its place. */
async function change(name, from, to) {
  const path = `${folder}/${name}`
  const before = await readFile(path, "utf8")
  assert.ok(before.includes(from), `${name} has ${from}`)
  await writeFile(`${path}~`, before.replace(from, to))
  await rename(`${path}~`, path)
}
