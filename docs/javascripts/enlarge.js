// Figures, and tables wider than their box, are shown large on a click or on Enter; a click or Escape closes them.
document.addEventListener('DOMContentLoaded', () => {
  const dialog = document.body.appendChild(document.createElement('dialog'))
  dialog.className = 'enlarged md-typeset'
  dialog.tabIndex = 0
  dialog.addEventListener('click', () => { if (!getSelection().toString()) dialog.close() })

  const cut = o => o.scrollWidth > o.parentElement.clientWidth + 1
  const show = o => {
    const copy = o.cloneNode(true)
    copy.removeAttribute('tabindex')
    copy.removeAttribute('width')
    if (o.naturalWidth) copy.style.width = Math.max(innerWidth*.9, Math.min(o.naturalWidth, 900)) + 'px'
    dialog.replaceChildren(copy)
    dialog.showModal()
    dialog.scrollTo(0, 0)
  }
  const open = e => {
    const o = e.target.closest('.md-content :is(img, table)')
    if (!o || e.target.closest('a, button, .highlighttable') || o.tagName == 'TABLE' && (!cut(o) || getSelection().toString())) return
    if (e.type == 'keydown' && (e.key != 'Enter' || e.target != o)) return
    e.preventDefault()
    show(o)
  }
  document.addEventListener('click', open)
  document.addEventListener('keydown', open)
  for (const o of document.querySelectorAll('.md-content img')) o.tabIndex = 0
})
