"A browser for the pages of the site: Chromium, without a window, driven by selenium."
import contextlib, functools, http.server, shutil, threading, time
import pytest

class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

@contextlib.contextmanager
def served(folder):
    "Serve a folder on this machine; gives the address."
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try: yield f'http://127.0.0.1:{server.server_port}'
    finally: server.shutdown(), server.server_close()

@contextlib.contextmanager
def chromium():
    "A browser, or a skipped test that says what is missing."
    webdriver = pytest.importorskip('selenium.webdriver', reason='selenium drives the browser: pip install selenium')
    binary = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    driver = shutil.which('chromedriver')
    if not binary or not driver: pytest.skip('no Chromium and chromedriver here: apt-get install chromium chromium-driver')
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for o in ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--hide-scrollbars'): options.add_argument(o)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    b = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    b.set_script_timeout(30)
    try: yield b
    finally: b.quit()

def wide(browser, width, height=900):
    "Make the page so many pixels wide."
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', dict(width=width, height=height, deviceScaleFactor=1, mobile=width < 600))

STICKS_OUT = """
const box = o => { for (o = o.parentElement; o && o != document.body; o = o.parentElement) if (getComputedStyle(o).overflowX != 'visible') return o }
const out = [...document.querySelectorAll('main *')].filter(o => { const r = o.getBoundingClientRect(); return r.width && r.height && r.right > innerWidth + 1 && !box(o) })
return [document.documentElement.scrollWidth - innerWidth, out.slice(0, 3).map(o => o.outerHTML.slice(0, 200))]"""

def sticks_out(browser, wait=3.):
    "By how many pixels the page is wider than the window, and what is, when it has settled."
    end = time.time() + wait
    while True:
        pixels, what = browser.execute_script(STICKS_OUT)
        if pixels <= 0 and not what or time.time() > end: return pixels, what
        time.sleep(.1)
