// Two people talk while their servers end and begin anew; a third comes later, with nothing but long polls.

import assert from "node:assert/strict"
import { browse, given, step, text } from "./browser.js"

const { sites, operator, keeps } = given
const [first, last] = [0, sites.length - 1]

/** Not with each picture, which pages in the background draw none of. */
const OFTEN = { polling: 50, timeout: 20_000 }

await browse(async browser => {
  step("two enter a room, one by a WebSocket, one by a stream of events")
  const ada = await enter(browser, first, "ada", "socket")
  const bob = await enter(browser, last, "bob", "stream")
  await both([ada, bob], page => until(page, "#here", "ada, bob"))

  step("they talk")
  await say(ada, "one")
  await say(bob, "two")
  await both([ada, bob], page => heard(page, ["one", "two"]))

  for (const [how, said] of [["term", "three"], ["kill", "four"]]) {
    step(`what is said while the server is gone (${how}) arrives when it is back`)
    await ask(`end/${first}/${how}`)
    await until(ada, "#state", "offline")
    await say(ada, said)
    assert.equal(await ada.$$eval(".waits", waiting => waiting.length), 1)
    if (keeps) {
      // The other server goes on; who is away hears of it later.
      await say(bob, `${said} meanwhile`)
      await until(bob, "#lines li:last-child", `bob${said} meanwhile`)
    }
    await ask(`begin/${first}`)
    await until(ada, "#state", "online by socket")
    await both([ada, bob], page => contains(page, said))
  }

  step("nothing is lost, nothing is there twice, and all have one order")
  await say(bob, "five")
  await both([ada, bob], page => contains(page, "five"))
  assert.equal(await ada.$$eval(".waits", waiting => waiting.length), 0)
  const [of_ada, of_bob] = await both([ada, bob], lines)
  assert.deepEqual(of_ada, of_bob)
  const said = ["one", "two", "three", "four", "five"]
  const meanwhile = keeps ? ["three meanwhile", "four meanwhile"] : []
  assert.deepEqual(of_ada.toSorted(), [...said, ...meanwhile].sort())

  step("who comes later is told what was said before, by whatever way there is")
  for (const [who, blocked, way] of [["eve", [], "socket"], ["mia", ["WebSocket"], "stream"],
    ["joe", ["WebSocket", "EventSource"], "poll"]]) {
    const page = await browser.newPage()
    await page.evaluateOnNewDocument(blocked => {
      for (const name of blocked) {
        window[name] = class {
          constructor() {
            setTimeout(() => (this.onclose ?? this.onerror)())
          }

          close() {}
        }
      }
    }, blocked)
    const late = await enter(page, last, who)
    await until(late, "#state", `online by ${way}`)
    await contains(late, "five")
    if (keeps) {
      assert.deepEqual(await lines(late), await lines(ada))
    }
    await say(late, `hello from ${who}`)
    await both([ada, bob, late], page => contains(page, `hello from ${who}`))
    await late.close()
  }
  await both([ada, bob], page => until(page, "#here", "ada, bob"))
})

async function enter(from, site, who, via) {
  const page = from.newPage ? await from.newPage() : from
  page.on("pageerror", error => assert.fail(error))
  await page.goto(`${sites[site]}/${via ? `?via=${via}` : ""}`)
  await submit(page, "#enter", "who", who)
  await page.waitForFunction(() => document.getElementById("state").textContent.startsWith("online"), OFTEN)
  return page
}

function say(page, what) {
  return submit(page, "#say", "text", what)
}

/** As typing and pressing Enter does it; but those need a page in front, and of several only one is. */
function submit(page, form, field, value) {
  return page.$eval(form, (form, field, value) => {
    form.elements[field].value = value
    form.requestSubmit()
  }, field, value)
}

function lines(page) {
  return page.$$eval("#lines li", items => items.map(item => item.lastChild.textContent))
}

function contains(page, what) {
  return page.waitForFunction(what => [...document.querySelectorAll("#lines li:not(.waits)")]
    .some(item => item.lastChild.textContent === what), OFTEN, what)
}

async function heard(page, what) {
  await contains(page, what.at(-1))
  assert.deepEqual(await lines(page), what)
}

async function until(page, selector, wanted) {
  try {
    await page.waitForFunction((selector, wanted) => document.querySelector(selector)?.textContent === wanted,
      OFTEN, selector, wanted)
  } catch (error) {
    assert.fail(`${selector} is ${JSON.stringify(await text(page, selector))}, not ${wanted}: ${error.message}`)
  }
}

function both(pages, act) {
  return Promise.all(pages.map(act))
}

async function ask(path) {
  const response = await fetch(`${operator}/${path}`, { method: "POST" })
  assert.equal(response.status, 200, await response.text())
}
