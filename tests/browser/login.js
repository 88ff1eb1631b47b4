// Logs in and out as a person does, and tries from other sites what an attacker would.

import assert from "node:assert/strict"
import { browse, follow, given, step, text } from "./browser.js"

const { home, strangers } = given

await browse(async browser => {
  const page = await browser.newPage()
  await wrongThenRight(page)
  await otherTabs(browser)
  for (const stranger of strangers) {
    await forgedForms(browser, stranger)
    await foreignFrame(browser, stranger)
  }
  await out(browser, page)
  await injectedScripts(browser, strangers[0])
})

async function fillIn(page, account, password) {
  await page.$eval("#account", field => field.value = "")
  await page.type("#account", account)
  await page.type("#password", password)
  return follow(page, () => page.click("button"))
}

async function wrongThenRight(page) {
  step("who is not logged in is led to the form")
  await page.goto(home)
  assert.equal(page.url(), `${home}/login`)

  step("a script of the page's own runs")
  const type = () => page.$eval("#password", field => field.type)
  assert.equal(await type(), "password")
  await page.click(".choice input")
  assert.equal(await type(), "text")

  step("a wrong password is refused")
  const refused = await fillIn(page, "ada", "garlic")
  assert.equal(refused.status(), 403)
  assert.match(await text(page, "[role=alert]"), /another password/)
  assert.equal(await page.$eval("#account", field => field.value), "ada")

  step("the right one leads in")
  await fillIn(page, "ada", "onion")
  assert.equal(page.url(), `${home}/`)
  assert.equal(await text(page, "h1"), "Hello, ada")
}

async function otherTabs(browser) {
  step("the session is there in another tab and after a reload, and scripts cannot see it")
  const page = await browser.newPage()
  await page.goto(home)
  await page.reload()
  assert.equal(await text(page, "h1"), "Hello, ada")
  assert.equal(await page.evaluate(() => document.cookie), "")
  const cookies = await browser.cookies()
  assert.deepEqual(cookies.map(cookie => cookie.name).sort(), ["cepa.sess", "cepa.sess.sig"])
  for (const cookie of cookies) {
    assert.ok(cookie.httpOnly && cookie.sameSite === "Lax", cookie.name)
  }
  await page.close()
}

async function forgedForms(browser, stranger) {
  step(`${stranger} cannot log anybody in or out`)
  const page = await browser.newPage()
  for (const path of ["/logout", "/login"]) {
    const answered = page.waitForResponse(response => response.url() === home + path)
    await page.goto(`${stranger}/forged?to=${encodeURIComponent(home + path)}`)
    const answer = await answered
    assert.equal(answer.request().method(), "POST")
    assert.equal(answer.status(), 403, path)
    assert.equal(await answer.text(), "Cross-site request refused")
  }
  await page.goto(home)
  assert.equal(await text(page, "h1"), "Hello, ada")
  await page.close()
}

async function foreignFrame(browser, stranger) {
  step(`${stranger} cannot show the page in a frame`)
  const page = await browser.newPage()
  await page.goto(`${stranger}/frame?of=${encodeURIComponent(`${home}/`)}`, { waitUntil: "load" })
  const [frame] = page.mainFrame().childFrames()
  assert.match(frame.url(), /^chrome-error:/)
  await page.close()
}

async function out(browser, page) {
  step("who logs out is out, also with a copy of the cookies")
  const kept = await browser.cookies()
  await follow(page, () => page.click("button"))
  assert.equal(page.url(), `${home}/login`)
  await browser.setCookie(...kept)
  await page.goto(home)
  assert.equal(page.url(), `${home}/login`)
}

async function injectedScripts(browser, stranger) {
  step("what gets into the page does not run, and the page's own still does")
  const page = await browser.newPage()
  await page.evaluateOnNewDocument(() => {
    window.blocked = []
    addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
      window.blocked.push(`${effectiveDirective} ${blockedURI}`)
    })
  })
  const markup = `<script>window.ran = "inline"</script>
    <script nonce="guessed">window.ran = "guessed"</script>
    <script src="${stranger}/script"></script>
    <img src="/none.png" onerror="window.ran = 'handler'">
    <base href="${stranger}/">`
  await inject(page, markup)
  await page.goto(`${home}/login`, { waitUntil: "networkidle0" })
  const { ran, blocked, base } = await page.evaluate(() => {
    return { ran: window.ran, blocked: window.blocked, base: document.baseURI }
  })
  assert.equal(ran, undefined)
  assert.deepEqual(blocked.sort(), [
    `base-uri ${stranger}/`,
    "script-src-attr inline",
    "script-src-elem inline",
    "script-src-elem inline",
    `script-src-elem ${stranger}/script`,
  ].sort())
  assert.equal(base, `${home}/login`)
  assert.equal(await page.$eval(".choice", label => label.hidden), false)
  await page.close()
}

/** Puts markup into the documents that a page gets, and leaves their headers as they are. */
async function inject(page, markup) {
  const session = await page.createCDPSession()
  await session.send("Fetch.enable", { patterns: [{ resourceType: "Document", requestStage: "Response" }] })
  session.on("Fetch.requestPaused", async ({ requestId, responseStatusCode, responseHeaders }) => {
    const { body, base64Encoded } = await session.send("Fetch.getResponseBody", { requestId })
    const document = Buffer.from(body, base64Encoded ? "base64" : "utf8").toString()
    const changed = document.replace("<main>", `<main>${markup}`)
    assert.notEqual(changed, document)
    await session.send("Fetch.fulfillRequest", {
      requestId,
      responseCode: responseStatusCode,
      responseHeaders: responseHeaders.filter(({ name }) => name.toLowerCase() !== "content-length"),
      body: Buffer.from(changed).toString("base64"),
    })
  })
}
