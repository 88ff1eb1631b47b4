// Starts Chromium for a script, and ends it; the words that the scripts share.

import puppeteer from "puppeteer-core"

/** What the test that runs the script has given it. */
export const given = JSON.parse(process.argv[2])

/** Runs a script with a browser that knows nothing. */
export async function browse(script) {
  const browser = await puppeteer.launch({
    executablePath: given.chromium,
    userDataDir: given.profile,
    // A browser that is driven over a pipe ends with it, whatever becomes of this process.
    pipe: true,
    headless: true,
    // The sandbox refuses to work for root; /dev/shm is small in containers; the servers are here.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"],
  })
  try {
    await script(browser)
  } finally {
    await browser.close()
  }
}

/** Says what follows, so that the last line of a failed script tells where it was. */
export function step(text) {
  console.log(text)
}

/** The text of the first element that a selector finds. */
export function text(page, selector) {
  return page.$eval(selector, element => element.textContent.trim())
}

/** Does something that leads to another page; its response. */
export async function follow(page, act) {
  const [response] = await Promise.all([page.waitForNavigation(), act()])
  return response
}
