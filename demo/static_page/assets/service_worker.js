// Keeps the page on the visitor's device, so that it opens without a network; `worker.js` keeps the model.

const BUILD = "$build";
const SCOPE = self.registration.scope;
// One build, and where it lies: other pages of this server have names of their own.
const NAME = `nritya ${SCOPE}${BUILD}/`;

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(forget()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(SCOPE)) event.respondWith(answer(event.request));
});

async function keep() {
  const { files } = await (await fetch(`${BUILD}/site.json`)).json();
  const cache = await caches.open(NAME);
  // All but the first lie in a folder that is named after its content: what the browser has of them is right.
  await cache.addAll([new Request("./", { cache: "reload" }), ...files.map((file) => `${BUILD}/${file}`)]);
  await self.skipWaiting();
}

async function forget() {
  const former = (await caches.keys()).filter((name) => name.startsWith(`nritya ${SCOPE}`) && name !== NAME);
  await Promise.all(former.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  // What was kept before the visitor forbade it can't be reached.
  const cache = await caches.open(NAME).catch(() => null);
  if (!cache) return fetch(request);
  // A newer build shows at once; the kept one is for those without a network.
  if (request.mode === "navigate") return fetch(request).catch(() => cache.match("./"));
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}
