"Each attempt runs in a process of its own, with an end to its time and to its memory, and may be killed."
import os, pickle, resource, signal, sys, time, traceback

def silent():
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (1, 2): os.dup2(null, fd)

def child(f, write, memory):
    "What a child does: limit itself, call `f`, and tell what it returned."
    code = 1
    try:
        silent()
        if memory:
            now = int(open('/proc/self/statm').read().split()[0])*os.sysconf('SC_PAGE_SIZE')
            resource.setrlimit(resource.RLIMIT_AS, (now + memory,)*2)
        try: said = f()
        except BaseException as e: said = f'{type(e).__name__}: {e} {traceback.format_exc(limit=-2)}'
        os.write(write, pickle.dumps(said)[:60_000])
        code = 0
    finally: os._exit(code)

def attempt(f, seconds=30, memory=2**30):
    "What `f` returns in a process of its own; a text that begins with '!' if that crashed, hung or wanted too much."
    sys.stdout.flush(), sys.stderr.flush()
    read, write = os.pipe()
    if (pid := os.fork()) == 0: child(f, write, memory)
    os.close(write)
    end, out = time.monotonic() + seconds, b''
    os.set_blocking(read, False)
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        try:
            while block := os.read(read, 65536): out += block
        except BlockingIOError: pass
        if done: break
        time.sleep(.002)
    else:
        os.kill(pid, signal.SIGKILL), os.waitpid(pid, 0)
        os.close(read)
        return f'!hung for {seconds} s'
    os.close(read)
    return pickle.loads(out) if out and status == 0 else f'!crashed with status {status}'

def killed_after(f, seconds):
    "Let `f` run in a process of its own and kill that; whether it was still running."
    sys.stdout.flush(), sys.stderr.flush()
    if (pid := os.fork()) == 0:
        try:
            silent()
            f()
        finally: os._exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(pid, os.WNOHANG)[0]: return False
        time.sleep(.0005)
    os.kill(pid, signal.SIGKILL), os.waitpid(pid, 0)
    return True
