#!/usr/bin/env node
// The stack that most Koa apps begin with: koa-logger, koa-session (a signed cookie, read), 21 routes of @koa/router.
import cluster from 'node:cluster'
import process from 'node:process'
import Koa from 'koa'
import Router from '@koa/router'
import logger from 'koa-logger'
import session from 'koa-session'

const [port, workers] = process.argv.slice(2).map(Number)

if (cluster.isPrimary && workers > 1) {
  for (let n = 0; n < workers; n++) cluster.fork()
} else {
  const app = new Koa()
  app.keys = ['bench']
  app.use(logger())
  app.use(session({ key: 'koa.sess' }, app))

  const router = new Router({ prefix: '/session' })
  for (let n = 0; n < 21; n++) {
    router.get(`/r${n}/:id`, ctx => {
      ctx.body = { id: ctx.params.id, name: ctx.session.name ?? 'nobody' }
    })
  }
  app.use(router.routes()).use(router.allowedMethods())
  app.listen({ port, host: '127.0.0.1', backlog: 4096 })
}
