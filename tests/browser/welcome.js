// The page of a folder that has nothing to serve yet, as a browser shows it under its own policy.

import assert from "node:assert/strict"
import { browse, given, step } from "./browser.js"

await browse(async browser => {
  const page = await browser.newPage()
  const refused = []
  page.on("console", message => refused.push(message.text()))
  page.on("requestfailed", request => refused.push(request.url()))
  step("its style is allowed, and nothing is asked for elsewhere")
  await page.goto(given.home)
  const shown = await page.evaluate(() => ({
    font: getComputedStyle(document.querySelector("h1")).letterSpacing,
    overflows: document.documentElement.scrollWidth > innerWidth,
    title: document.title,
    language: document.documentElement.lang,
  }))
  assert.notEqual(shown.font, "normal", "the style is applied")
  assert.deepEqual([shown.title, shown.language], ["Cepa is running", "en"])
  assert.deepEqual(refused.filter(text => !text.includes("favicon") && !text.includes("404")), [])

  step("it has one heading, landmarks with names, and no text of too little contrast")
  const named = await page.evaluate(() => ({
    headings: document.querySelectorAll("h1").length,
    nameless: [...document.querySelectorAll("section")].filter(section =>
      !document.getElementById(section.getAttribute("aria-labelledby"))?.textContent.trim()).length,
  }))
  assert.deepEqual(named, { headings: 1, nameless: 0 })
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }])
    const least = await page.evaluate(() => {
      const channels = colour => colour.match(/[\d.]+/g).slice(0, 3).map(Number)
      const light = colour => {
        const [r, g, b] = channels(colour).map(value => value / 255)
          .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
      }
      const ground = element => {
        for (let at = element; at; at = at.parentElement) {
          const colour = getComputedStyle(at).backgroundColor
          if (!colour.endsWith(", 0)") && colour !== "transparent") return colour
        }
        return "rgb(255, 255, 255)"
      }
      const texts = [...document.querySelectorAll("h1, h2, p, dt, dd, code, footer")]
      return Math.min(...texts.map(element => {
        const [one, two] = [getComputedStyle(element).color, ground(element)].map(light)
        return (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05)
      }))
    })
    assert.ok(least >= 4.5, `${scheme}: ${least}`)
  }

  step("a small screen need not be scrolled sideways")
  await page.setViewport({ width: 320, height: 640 })
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false)
})
