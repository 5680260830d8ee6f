"The page of the shell: what each command is for, an example, and its options, as `flowfm --help` says them."
import contextlib, io, os
from flowfm_tsai.cli import COMMANDS, main

EXAMPLES = {
    'demo': 'flowfm demo',
    'data': 'flowfm data wisdm --root wisdm-dataset.zip --out wisdm.npz',
    'windows': 'flowfm windows --data watch.csv --label activity --subject person --unit m/s2 --out-rate 30',
    'pretrain': 'flowfm pretrain --data windows.npz --out weights --turn 30 --shift 60',
    'probe': 'flowfm probe --data windows.npz --weights weights',
    'finetune': 'flowfm finetune --data windows.npz --weights weights',
    'predict': 'flowfm predict --data new.csv --weights finetuned --out predictions.csv',
    'embed': 'flowfm embed --data windows.npz --out embeddings.csv',
    'classify': "flowfm classify --data new.csv --texts 'walking; jogging; sitting'",
    'tune-text': "flowfm tune-text --data windows.npz --template 'a person is {y}'",
    'generate': "flowfm generate --text 'a person jogging' --n 8 --out jogging.csv --figure jogging.png",
    'distill': 'flowfm distill --data windows.npz --weights weights --steps 4'}

def said(*argv):
    "What a command prints."
    os.environ['COLUMNS'] = '88'
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit): main(list(argv))
    return out.getvalue().rstrip()

def shell_page():
    "Markdown."
    parts = ['# Shell', '> Every command of `flowfm`, with its options.',
             'Options have the names and defaults of the functions behind them ([recipes](../api/recipes.md), [supervised](../api/supervised.md), '
             '[applying](../api/applying.md)). Names that an option may have stand in braces. A training that was interrupted goes on when the same '
             'command is run again; `--fresh` starts over.']
    for name in COMMANDS:
        example = [f'```sh\n{EXAMPLES[name]}\n```'] if name in EXAMPLES else []
        parts += [f'## flowfm {name}', *example, f'```text\n{said(*name.split(), "--help")}\n```']
    return '\n\n'.join(parts) + '\n'
