// Pages that are opened as files may start no worker, and the search is one: there it runs in a hidden frame instead.
if (location.protocol == 'file:') window.Worker = class extends EventTarget {
  constructor(url) {
    super()
    const frame = document.body.appendChild(Object.assign(document.createElement('iframe'), {hidden: true}))
    this.inside = frame.contentWindow
    this.ready = new Promise(done => frame.addEventListener('load', done))
    addEventListener('message', e => { if (e.source == this.inside) this.dispatchEvent(new MessageEvent('message', {data: e.data})) })
    const doc = this.inside.document
    doc.open()
    doc.write(`<body><script>
      postMessage = data => parent.postMessage(data, '*')
      importScripts = (...urls) => urls.reduce((before, src) => before.then(() => new Promise(onload =>
        document.body.appendChild(Object.assign(document.createElement('script'), {src, onload})))), Promise.resolve())
    <\/script><script src="${url}"><\/script></body>`)
    doc.close()
  }
  postMessage(data) { this.ready.then(() => this.inside.dispatchEvent(new MessageEvent('message', {data: structuredClone(data)}))) }
}
