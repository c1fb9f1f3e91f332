# Keymask: which artifact is made from which others. `make` prints what can be typed.
#
#   corpus ─► base ─► finetuned-base ─► scores ─► tagger ─► masked ─► dapt, tapt ─► finetuned-* ─► report
#
# Make compares times: it says what might be stale. Each stage compares hashes: it says what is.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

RECIPE ?= demo
VARIANT ?=
SET    ?=
BASE   ?=
DATA   ?= data
RUNS   ?= runs
INPUT  ?=
FROM   ?= $(if $(wildcard $(RUN)/finetuned-dapt/manifest.json),finetuned-dapt,finetuned-base)
PUSH   ?=
UPLOAD ?=
WORKERS ?= 1
TASK   ?= 1/1
EXECUTOR ?=
LAUNCH ?=
REFERENCE ?=
REPEATS ?= 1
INIT   ?= base
ADAPTED ?= dapt
FACTORS ?= $(MATRIX)
TRACK  ?=
PYTHON ?= python3

VENV := .venv
PY   := $(VENV)/bin/python
PIP  := $(PY) -m pip install --quiet --disable-pip-version-check --no-compile
RUN  := $(RUNS)/$(basename $(notdir $(RECIPE)))$(VARIANT:%=@%)
S    := $(RUN)/.settings

$(foreach v,RECIPE VARIANT RUNS,$(if $(word 2,$($v)),$(error $v="$($v)": make parts its words at blanks, so give one without)))

# A CPU wheel of torch where there is no NVIDIA driver: the default one brings gigabytes of CUDA. Only torch is looked up
# there, and once: an index that does not answer would cost seconds for every package. Nothing is compiled beforehand:
# Python compiles the third of it that is ever imported, and once, where it may keep that.
TORCH_INDEX ?= $(shell command -v nvidia-smi >/dev/null 2>&1 || echo https://download.pytorch.org/whl/cpu)

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export HF_HUB_DISABLE_TELEMETRY := 1
export TRACK
unexport PYTHONDONTWRITEBYTECODE
# Threads that wait spin, and beside other work that costs most of the speed: let them soon sleep. Not at once
# (OMP_WAIT_POLICY=PASSIVE): that costs a fifth on a quiet machine.
export GOMP_SPINCOUNT ?= 3000

# What was typed: manifests and reports repeat it.
GIVEN := $(foreach v,RECIPE RECIPES VARIANT VARIANTS SET BASE DATA INPUT FROM INIT ADAPTED FACTORS LAUNCH WORKERS REFERENCE REPEATS RUNS,$(if $(filter command environment,$(origin $(v))),$(v)=$(if $(findstring ",$($(v))),'$($(v))',"$($(v))")))
export KEYMASK_CALL ?= make $(MAKECMDGOALS) $(GIVEN)

# As one word for the shell, whatever quotes are in it: SET="dapt.mixture=['mine=3','forum=1']".
quoted     = '$(subst ','\'',$1)'
# Of words that an environment has for other ends (LANGUAGE is gettext's) only those typed after make are meant.
typed      = $(if $(filter command,$(origin $1)),$(call quoted,$($1)),'')
OVERRIDES := $(foreach s,$(SET),$(call quoted,$s)) $(if $(BASE),$(call quoted,base.model=$(BASE)))
ARGS       = --recipe '$(RECIPE)' --set $(OVERRIDES) --out $(@D)
ROWS       = $(PY) -m
TENSORS    = $(or $(LAUNCH),$(PY)) -m

# ---- what is made from what ------------------------------------------------------------------------------------------

SLICES = $(ROWS) stages.clean --recipe '$(RECIPE)' --set $(OVERRIDES) --data '$(DATA)' --out $(RUN)/slices --workers $(WORKERS)

$(RUN)/corpus/manifest.json: $(S)/corpus.json $(S)/data $(wildcard corpora/cards/*.toml)
	@$(if $(filter-out 1,$(WORKERS)),$(SLICES))
	@$(ROWS) stages.prepare $(ARGS) --data '$(DATA)' --slices $(RUN)/slices

# Domain and task text only where a base is given words of them.
WORDS_FROM = $$(for part in general $$(grep -q '"words": [1-9]' $(S)/base.json && echo domain task); do \
	  test ! -d $(RUN)/corpus/$$part || echo --$$part $(RUN)/corpus/$$part; done)

$(RUN)/base/manifest.json: $(S)/base.json $(RUN)/corpus/manifest.json
	@$(TENSORS) stages.start $(ARGS) $(WORDS_FROM)

$(RUN)/diagnosed/manifest.json: $(S)/diagnosed.json $(RUN)/base/manifest.json $(RUN)/corpus/manifest.json
	@$(ROWS) stages.diagnose $(ARGS) --init $(RUN)/base --corpus $(RUN)/corpus

TASK_ROWS = --task $(RUN)/corpus/task $$(test -d $(RUN)/corpus/elsewhere && echo --elsewhere $(RUN)/corpus/elsewhere)

$(RUN)/finetuned-%/manifest.json: $(S)/finetuned.json $(RUN)/%/manifest.json $(RUN)/corpus/manifest.json
	@$(TENSORS) stages.finetune $(ARGS) --init $(RUN)/$* $(TASK_ROWS)

$(RUN)/multitask/manifest.json: $(S)/multitask.json $(RUN)/$(INIT)/manifest.json $(RUN)/corpus/manifest.json
	@$(TENSORS) stages.train_multitask $(ARGS) --init $(RUN)/$(INIT) --task $(RUN)/corpus/task \
	  $$(test -d $(RUN)/corpus/beside && echo --beside $(RUN)/corpus/beside)

$(RUN)/rate-%/manifest.json: $(S)/finetuned.json $(RUN)/%/manifest.json $(RUN)/corpus/manifest.json
	@$(TENSORS) stages.find_rate $(ARGS) --init $(RUN)/$* --task $(RUN)/corpus/task

# What a scorer asks for (pipeline/scoring/scorers.py); nobody waits for what it does not.
CLASSIFIER_SCORERS := buffer causal_prefix prefix occlusion gradient integrated_gradients attention
REFERENCE_SCORERS  := excess_loss

# $(call setting,section,name,default): as typed in SET, in the recipe, or in those it extends.
recipes = $(foreach r,$(firstword $(filter %.toml,$(wildcard $1 stages/recipes/$1.toml))),$r $(call recipes,$(shell sed -n 's/^extends *= *"\(.*\)".*/\1/p' $r)))
setting = $(or $(patsubst $1.$2=%,%,$(lastword $(filter $1.$2=%,$(SET)))),$(firstword $(shell \
	sed -ns '/^\[$1\]/,/^\[/s/^$2 *= *"\(.*\)".*/\1/p' $(RECIPES_READ))),$3)
RECIPES_READ := $(call recipes,$(RECIPE))

SCORES_SCORER := $(call setting,scores,scorer,buffer)
SCORES_MODEL  := $(if $(filter $(CLASSIFIER_SCORERS),$(SCORES_SCORER)),finetuned-base,base)
REFERRED       = $(if $(filter $(REFERENCE_SCORERS),$1),$(S)/reference $(wildcard $(REFERENCE)/manifest.json))

$(RUN)/scores/manifest.json: $(S)/scores.json $(RUN)/$(SCORES_MODEL)/manifest.json $(RUN)/corpus/manifest.json $(call REFERRED,$(SCORES_SCORER))
	@$(TENSORS) stages.score $(ARGS) --task $(RUN)/corpus/task \
	  $(if $(filter base,$(SCORES_MODEL)),--init $(RUN)/base --corpus $(RUN)/corpus,--classifier $(RUN)/finetuned-base) \
	  $(if $(filter $(REFERENCE_SCORERS),$(SCORES_SCORER)),$(REFERENCE:%=--reference %))

$(RUN)/tagger/manifest.json: $(S)/tagger.json $(RUN)/base/manifest.json $(RUN)/scores/manifest.json
	@$(TENSORS) stages.train_tagger $(ARGS) --init $(RUN)/base --scores $(RUN)/scores

# Of the domain all is masked, or what is like the task: in its words, or in what the base makes of it.
CHOSEN      := $(if $(filter-out none,$(call setting,chosen,method,none)),$(RUN)/chosen)
CHOSEN_BASE := $(if $(filter encoder,$(call setting,chosen,vectors,words)),$(RUN)/base)

$(RUN)/chosen/manifest.json: $(S)/chosen.json $(RUN)/corpus/manifest.json $(CHOSEN_BASE:%=%/manifest.json)
	@$(ROWS) stages.choose $(ARGS) --corpus $(RUN)/corpus $(CHOSEN_BASE:%=--init %)

# Only selective masking asks a scorer; with another policy nobody waits for one.
MASKED_SCORER := $(if $(filter selective,$(call setting,masked,policy,selective)),$(call setting,masked,scorer,tagger))
TAGGER        := $(if $(filter tagger,$(MASKED_SCORER)),$(RUN)/tagger)
CLASSIFIER    := $(if $(filter $(CLASSIFIER_SCORERS),$(MASKED_SCORER)),$(RUN)/finetuned-base)

MASKED_FROM := $(patsubst %,$(RUN)/%/manifest.json,base corpus) $(patsubst %,%/manifest.json,$(CHOSEN) $(TAGGER) $(CLASSIFIER)) \
  $(call REFERRED,$(MASKED_SCORER))

# masked-control: as many words of every sequence, at random.
$(RUN)/masked-control/manifest.json: private OVERRIDES += masked.control=true
$(RUN)/masked/manifest.json $(RUN)/masked-control/manifest.json: $(S)/masked.json $(MASKED_FROM)
	@$(TENSORS) stages.mask $(ARGS) --init $(RUN)/base --corpus $(RUN)/corpus $(CHOSEN:%=--chosen %) $(TAGGER:%=--tagger %) $(CLASSIFIER:%=--classifier %) \
	  $(if $(filter $(REFERENCE_SCORERS),$(MASKED_SCORER)),$(REFERENCE:%=--reference %))

# What a reference loses on the text, where a training of next tokens asks it.
$(RUN)/referred/manifest.json: $(S)/referred.json $(RUN)/masked/manifest.json $(call REFERRED,excess_loss)
	@$(TENSORS) stages.refer $(ARGS) --masked $(RUN)/masked $(REFERENCE:%=--reference %)

DAPT_REFERRED := $(if $(filter excess_loss,$(call setting,dapt.clm,select,all)),$(RUN)/referred)
TAPT_REFERRED := $(if $(filter excess_loss,$(call setting,tapt.clm,select,all)),$(RUN)/referred)

# What is forgotten is measured, and some of it read again, where general text is masked: masked.general_documents.
# What the encoder is worth is asked on the way where dapt.probe.rows says so.
# REPEATS=3 pretrains an arm three times: dapt, dapt-2, dapt-3.
AGAIN    := $(shell [[ "$(REPEATS)" =~ ^[1-9][0-9]?$$ ]] && seq 2 $(REPEATS) || echo none)
$(if $(filter none,$(AGAIN)),$(error REPEATS=$(REPEATS): how often is it pretrained? give a number from 1 to 99))
repeated  = $(foreach arm,$1,$(arm) $(AGAIN:%=$(arm)-%))
made      = $(patsubst %,$(RUN)/%/manifest.json,$(call repeated,$1))
SECTION   = $(if $(findstring tapt,$(notdir $(@D))),tapt,dapt)
REPEAT    = $(patsubst %,$(SECTION).repeat=%,$(filter $(AGAIN),$(lastword $(subst -, ,$(@D)))))
ALSO_ON   = $$(test -d $(RUN)/masked/general && echo --general $(RUN)/masked/general) \
  $$(grep -qs '"rows": [1-9]' $(S)/$(SECTION).json && echo --task $(RUN)/corpus/task)
PRETRAIN  = $(TENSORS) stages.pretrain --recipe '$(RECIPE)' --set $(OVERRIDES) $(REPEAT) --out $(@D)

$(call made,dapt): $(S)/dapt.json $(RUN)/base/manifest.json $(RUN)/masked/manifest.json $(DAPT_REFERRED:%=%/manifest.json)
	@$(PRETRAIN) --init $(RUN)/base --masked $(RUN)/masked/domain $(DAPT_REFERRED:%=--referred %/domain) $(ALSO_ON)

$(call made,tapt): $(S)/tapt.json $(RUN)/base/manifest.json $(RUN)/masked/manifest.json $(TAPT_REFERRED:%=%/manifest.json)
	@$(PRETRAIN) --init $(RUN)/base --masked $(RUN)/masked/task $(TAPT_REFERRED:%=--referred %/task) $(ALSO_ON)

# dapt-tapt-2 begins at dapt-2.
$(call made,dapt-tapt): $(S)/tapt.json $(call made,dapt) $(RUN)/masked/manifest.json $(TAPT_REFERRED:%=%/manifest.json)
	@$(PRETRAIN) --init $(RUN)/$(subst dapt-tapt,dapt,$(notdir $(@D))) --masked $(RUN)/masked/task $(TAPT_REFERRED:%=--referred %/task) $(ALSO_ON)

# What as much training brings without what is to be shown: on random words, and on general text.
$(call made,dapt-control): $(S)/dapt.json $(RUN)/base/manifest.json $(RUN)/masked-control/manifest.json
	@$(PRETRAIN) --init $(RUN)/base --masked $(RUN)/masked-control/domain $(ALSO_ON)

$(call made,tapt-control): $(S)/tapt.json $(RUN)/base/manifest.json $(RUN)/masked-control/manifest.json
	@$(PRETRAIN) --init $(RUN)/base --masked $(RUN)/masked-control/task $(ALSO_ON)

$(call made,dapt-tapt-control): $(S)/tapt.json $(call made,dapt-control) $(RUN)/masked-control/manifest.json
	@$(PRETRAIN) --init $(RUN)/$(subst dapt-tapt,dapt,$(notdir $(@D))) --masked $(RUN)/masked-control/task $(ALSO_ON)

$(call made,general): $(S)/dapt.json $(RUN)/base/manifest.json $(RUN)/masked/manifest.json
	@$(PRETRAIN) --init $(RUN)/base --masked $(RUN)/masked/general $(ALSO_ON)

$(RUN)/interpolated/manifest.json: $(S)/interpolated.json $(RUN)/base/manifest.json $(RUN)/$(ADAPTED)/manifest.json $(RUN)/masked/manifest.json
	@$(TENSORS) stages.interpolate $(ARGS) --init $(RUN)/base --adapted $(RUN)/$(ADAPTED) --masked $(RUN)/masked/$(if $(findstring tapt,$(ADAPTED)),task,domain) \
	  $$(test -d $(RUN)/masked/general && echo --general $(RUN)/masked/general)

$(RUN)/static/manifest.json: $(S)/static.json $(RUN)/base/manifest.json $(RUN)/masked/manifest.json
	@$(ROWS) stages.export $(ARGS) --init $(RUN)/base --masked $(RUN)/masked

$(RUN)/shown/manifest.json: $(S)/shown.json $(RUN)/base/manifest.json $(RUN)/masked/manifest.json $(RUN)/corpus/manifest.json
	@$(ROWS) stages.show $(ARGS) --init $(RUN)/base --masked $(RUN)/masked --corpus $(RUN)/corpus

# Every scorer side by side; excess_loss among them where there is a reference.
$(RUN)/agreement/manifest.json: $(S)/agreement.json $(RUN)/base/manifest.json $(RUN)/finetuned-base/manifest.json $(RUN)/corpus/manifest.json $(call REFERRED,excess_loss)
	@$(ROWS) stages.agree $(ARGS) --corpus $(RUN)/corpus --init $(RUN)/base --classifier $(RUN)/finetuned-base $(REFERENCE:%=--reference %)

# What base and an adapted checkpoint put in the place of hidden words: for the report, in seconds.
filled_from = $(if $(findstring tapt,$(if $(filter interpolated,$1),$(ADAPTED),$1)),task,domain)

$(RUN)/filled-%/manifest.json: $(S)/filled.json $(RUN)/base/manifest.json $(RUN)/%/manifest.json $(RUN)/masked/manifest.json
	@$(ROWS) stages.fill $(ARGS) --init $(RUN)/base --adapted $(RUN)/$* --masked $(RUN)/masked/$(call filled_from,$*)

# The report waits for the arms asked for, and shows every arm that is there.
ASKED := $(call repeated,$(filter dapt tapt dapt-tapt,$(MAKECMDGOALS))) $(filter interpolated multitask,$(MAKECMDGOALS))
ARMS  := $(or $(strip $(ASKED)),$(filter-out base,$(patsubst $(RUN)/finetuned-%/manifest.json,%,$(wildcard $(RUN)/finetuned-*/manifest.json))),dapt)

FILLED := $(filter dapt tapt dapt-tapt interpolated,$(ARMS))

$(RUN)/report/manifest.json: $(S)/report.json $(RUN)/finetuned-base/manifest.json $(ARMS:%=$(RUN)/finetuned-%/manifest.json) \
  $(FILLED:%=$(RUN)/filled-%/manifest.json)
	@$(ROWS) stages.report $(ARGS) --runs $(RUN)

# What was finished when a run is stopped stays: Make would take its manifest away, as of a target half made.
MADE_ONCE  = corpus base diagnosed multitask scores tagger chosen masked masked-control referred interpolated static shown agreement report
OF_SOME    = finetuned-% rate-% filled-%
PRETRAINED = dapt tapt dapt-tapt dapt-control tapt-control dapt-tapt-control general
.PRECIOUS: $(patsubst %,$(RUN)/%/manifest.json,$(MADE_ONCE) $(OF_SOME)) $(call made,$(PRETRAINED))

# Which raw files the corpus was made from.
-include $(RUN)/corpus/sources.mk

# ---- what can be typed -----------------------------------------------------------------------------------------------

.PHONY: help setup dapt tapt dapt-tapt interpolated multitask corpus slices doctor diagnose base finetuned-base scores tagger chosen masked referred show agreement lr-find ablate report export predict correct publish controls estimate compare browse new test test-slow check prove-resume bench fuzz clean FORCE

help:  ## what can be typed
	@echo "Keymask: continued pretraining, from raw text to a tested answer to 'did it help?'"; echo
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z -]*:.*## / {split($$1, t, " "); printf "  make %-15s %s\n", t[1], $$2}' Makefile
	@echo; printf '  %-28s %s\n' "RECIPE=$(RECIPE)" "experiment: $(basename $(notdir $(wildcard stages/recipes/*.toml)))" \
	  'VARIANT=$(VARIANT)' 'name of what SET changes, to have it beside the recipe as it is: runs/reviews@tfidf' \
	  'SET="$(SET)"' 'settings over the recipe: SET="dapt.trainer.steps=200 masked.mask_rate=0.3"' \
	  'BASE=$(BASE)' 'start from a local folder or hub name: BASE=hfl/chinese-macbert-base' \
	  'INPUT=$(INPUT)' 'a file of texts, for predict and correct: txt, jsonl, csv, tsv, parquet' \
	  'FROM=$(FROM)' 'the model that predicts, corrects, is published' \
	  'PUSH=$(PUSH)' 'repository on the Hugging Face hub; publish uploads to it only with UPLOAD=private or UPLOAD=public' \
	  'DATA=$(DATA)' 'where corpus cards find their files' \
	  'INIT=$(INIT)' 'checkpoint that lr-find, ablate and multitask start from: INIT=dapt' \
	  'ADAPTED=$(ADAPTED)' 'checkpoint that interpolated mixes with the base: ADAPTED=dapt-tapt' \
	  'FACTORS=…' 'settings that ablate tries, one at a time: FACTORS="stabilisers.mixout=0.1 head.pooling=mean"' \
	  'WORKERS=$(WORKERS)' 'processes that read and clean raw text' \
	  'LAUNCH="$(LAUNCH)"' 'hardware: LAUNCH="accelerate launch --config_file stages/launch/gpu8.yaml"' \
	  'TRACK=$(TRACK)' 'trackers beside TensorBoard: wandb (offline unless WANDB_MODE=online), trackio' \
	  'REPEATS=$(REPEATS)' 'how often dapt, tapt, controls are pretrained, each time by other draws; the report then knows that noise too' \
	  'REFERENCE=$(REFERENCE)' 'checkpoint adapted to good text, for excess_loss: REFERENCE=runs/demo-random/tapt' \
	  'RUNS=$(RUNS)' 'where everything made goes' 'PYTHON=$(PYTHON)' 'Python 3.10 or newer, to make .venv with'
	@echo; printf '  %s\n' 'make dapt' 'make new NAME=shop TASK=reviews.csv DOMAIN="raw/*.txt" BASE=…' 'make tapt RECIPE=reviews DATA=~/data' 'make compare RECIPES="demo demo-random"'

dapt: $(RUN)/report/manifest.json  ## adapt to the domain, fine-tune, compare with base
	@echo "report: $(RUN)/report/report.html"
tapt: $(RUN)/report/manifest.json  ## adapt to the task text, fine-tune, compare with base
	@echo "report: $(RUN)/report/report.html"
dapt-tapt: $(RUN)/report/manifest.json  ## first the domain, then the task text
	@echo "report: $(RUN)/report/report.html"
# Each beside its arm: of dapt where there is a domain, of tapt once it is there or where there is no domain, of
# dapt-tapt once it is there.
controls: $(S)/masked.json $(S)/corpus.json  ## what as much training brings otherwise: random words; general text (masked.general_documents)
	@domain=$$(grep -qs '"domain": \[\]' $(S)/corpus.json || echo dapt); tapt=; both=; \
	if [ -z "$$domain" -o -e $(RUN)/finetuned-tapt/manifest.json ]; then tapt=tapt; fi; \
	if [ -e $(RUN)/finetuned-dapt-tapt/manifest.json ]; then both=dapt-tapt; fi; \
	arms=($(if $(MASKED_SCORER),$${domain:+dapt dapt-control} $${tapt:+tapt tapt-control} $${both:+dapt-tapt dapt-tapt-control})); \
	if [ -n "$$domain" ] && grep -qs '"general_documents": [1-9]' $(S)/masked.json; then arms+=(dapt general); fi; \
	test $${#arms[@]} -gt 0 || { echo 'controls: words are masked at random already, so the control is general text, of a recipe with a domain: SET="masked.general_documents=4000"' >&2; exit 2; }; \
	for n in '' $(AGAIN:%=-%); do $(MAKE) --no-print-directory $$(printf "$(RUN)/finetuned-%s$$n/manifest.json " "$${arms[@]}"); done
	@$(MAKE) --no-print-directory report
interpolated: $(RUN)/report/manifest.json  ## mix base and dapt: less forgotten; needs masked.general_documents
	@echo "sweep: $(RUN)/interpolated/sweep.md, report: $(RUN)/report/report.html"
multitask: $(RUN)/report/manifest.json  ## learn tasks beside this one first, then fine-tune
	@echo "report: $(RUN)/report/report.html"
corpus: $(RUN)/corpus/manifest.json  ## raw text -> clean, split documents
slices: $(S)/corpus.json  ## one machine's part of the cleaning, on a shared disk: TASK=2/4 WORKERS=16, or EXECUTOR=…; then make corpus on one
	@$(SLICES) --task '$(TASK)' $(EXECUTOR:%=--executor '%')
doctor: | $(VENV)/.stamp  ## this machine and a base, before anything long: each trap by name, with its remedy
	@$(PY) -m stages.examine --recipe '$(RECIPE)' --set $(OVERRIDES) --run '$(RUN)'
new: | $(VENV)/.stamp  ## cards and a recipe for your own files: NAME=shop TASK=reviews.csv DOMAIN="raw/*.txt" BASE=…
	@$(PY) -m stages.draft --name $(call typed,NAME) --task $(call typed,TASK) --domain $(call typed,DOMAIN) --base $(call quoted,$(BASE)) \
	  --general $(call typed,GENERAL) --text $(call typed,TEXT) --label $(call typed,LABEL) --language $(call typed,LANGUAGE)
diagnose: $(RUN)/diagnosed/manifest.json  ## should this base be adapted to this text? before any training
	@echo "diagnosis: $(RUN)/diagnosed/diagnosis.md"
base: $(RUN)/base/manifest.json  ## the checkpoint everything starts from
finetuned-base: $(RUN)/finetuned-base/manifest.json  ## the task model without adaptation: baseline and scorer
scores: $(RUN)/scores/manifest.json  ## importance of every word of the task text
tagger: $(RUN)/tagger/manifest.json  ## a model that finds important words in any text
chosen: $(RUN)/chosen/manifest.json  ## of the domain the documents most like the task: SET="chosen.method=knn"
masked: $(RUN)/masked/manifest.json  ## sequences and which words of them to predict
referred: $(RUN)/referred/manifest.json  ## what REFERENCE, a decoder, loses on every token: for clm.select = excess_loss
show: $(RUN)/shown/manifest.json  ## what masking does: heat and draws in the terminal and as a page
	@if [ -t 1 ]; then cat $(RUN)/shown/shown.ansi; else cat $(RUN)/shown/shown.txt; fi; echo "page: $(RUN)/shown/index.html"
agreement: $(RUN)/agreement/manifest.json  ## every scorer on the task text: how far do they agree?
	@echo "agreement: $(RUN)/agreement/agreement.md"
lr-find: $(RUN)/rate-$(INIT)/manifest.json  ## a learning rate to begin fine-tuning with: one short training up a ramp
	@echo "plot: $(RUN)/rate-$(INIT)/rate.svg, table: $(RUN)/rate-$(INIT)/rate.txt"

# Fine-tuning settings one at a time, each an artifact of its own: a + joins two, and one that is there is not made again.
# Of the matrix, what a task has no use for is left out.
MATRIX := optimisation.optimizer=bertadam trainer.epochs=20.0 trainer.learning_rate=5e-5 trainer.warmup_ratio=0.0 \
  optimisation.layer_decay=0.9 optimisation.head_learning_rate=1e-3 optimisation.prior_decay=1.0 optimisation.averaging=ema \
  stabilisers.reinit_layers=1 stabilisers.mixout=0.1 stabilisers.dropout=0.2 robustness.attack=fgm robustness.noise=5.0 robustness.hidden=0.3 \
  loss.terms=['focal'] loss.terms=['zlpr'] loss.label_smoothing=0.1 loss.agreement=1.0 loss.masked_words=0.1 \
  head.layers=mean head.pooling=mean head.widths=[256] input.long=head_tail

ablate: $(RUN)/finetuned-$(INIT)/manifest.json  ## fine-tuning settings one at a time: FACTORS="stabilisers.mixout=0.1 head.pooling=mean"
	@set -f; others=(); for factor in $(foreach f,$(FACTORS),"$f"); do out="$(RUN)/ablated-$(INIT)-$${factor//[\'\"]/}"; \
	  if $(TENSORS) stages.finetune --recipe '$(RECIPE)' --init $(RUN)/$(INIT) $(TASK_ROWS) --out "$$out" \
	    --set $(OVERRIDES) finetuned.$${factor//+/ finetuned.}; then others+=("$$out"); \
	  else code=$$?; test "$(origin FACTORS)-$$code" = file-2 || exit $$code; fi; done; \
	$(ROWS) stages.ablate --recipe '$(RECIPE)' --set $(OVERRIDES) --baseline $(RUN)/finetuned-$(INIT) --others "$${others[@]}" \
	  --out $(RUN)/ablation-$(INIT)
	@echo "ablation: $(RUN)/ablation-$(INIT)/ablation.md"
report: $(RUN)/report/manifest.json  ## results side by side
	@echo "report: $(RUN)/report/report.html"
export: $(RUN)/static/manifest.json  ## the masked corpus, corruption frozen, for other trainers

predict: | $(VENV)/.stamp  ## ask a finished model about any file: INPUT=reviews.jsonl FROM=finetuned-dapt
	@test -n '$(INPUT)' || { echo 'predict: name a file: make predict INPUT=reviews.jsonl' >&2; exit 2; }
	@name=$$(basename '$(INPUT)'); out='$(RUN)'/predicted-$${name%%.*}; \
	$(TENSORS) stages.predict --recipe '$(RECIPE)' --set $(OVERRIDES) --model '$(RUN)/$(FROM)' --texts '$(INPUT)' --out "$$out" && \
	  echo "predicted: $$out"

correct: | $(VENV)/.stamp  ## correct the spelling of any file, by a finished model of source and target: INPUT=texts.txt
	@test -n '$(INPUT)' || { echo 'correct: name a file: make correct INPUT=texts.txt' >&2; exit 2; }
	@name=$$(basename '$(INPUT)'); out='$(RUN)'/corrected-$${name%%.*}; \
	$(TENSORS) stages.correct --recipe '$(RECIPE)' --set $(OVERRIDES) --model '$(RUN)/$(FROM)' --texts '$(INPUT)' --out "$$out" && \
	  echo "corrected: $$out"

publish: $(S)/published.json $(RUN)/$(FROM)/manifest.json  ## a model, or the corpus, with a card for strangers: FROM=dapt; PUSH=me/name shows the upload
	@test -n '$(PUSH)' -o -z '$(UPLOAD)' || { echo 'publish: name a repository of the hub: PUSH=owner/name' >&2; exit 2; }
	@out='$(RUN)'/published-$(FROM); $(ROWS) stages.publish --recipe '$(RECIPE)' --set $(OVERRIDES) --model '$(RUN)/$(FROM)' \
	  --runs '$(RUN)' --data '$(DATA)' --defaults $(S)/defaults.json --out "$$out" && \
	if [ -n '$(PUSH)' ]; then $(PY) -m stages.push --folder "$$out" --repository '$(PUSH)' --upload '$(UPLOAD)'; \
	else echo "published: $$out"; fi

# Recipes, each as it is and in every variant: "knn:chosen.method=knn tfidf:masked.policy=selective,masked.scorer=tfidf".
# $(call each,goals): makes them one by one; a comma joins two settings.
COMPARED = $(foreach r,$(or $(RECIPES),$(RECIPE)),$(foreach v,: $(VARIANTS),$(RUNS)/$(basename $(notdir $r))$(patsubst %,@%,$(firstword $(subst :, ,$v)))))
each = for recipe in $(or $(RECIPES),$(RECIPE)); do for variant in : $(foreach v,$(VARIANTS),$(call quoted,$v)); do \
  $(MAKE) --no-print-directory $1 RECIPE=$$recipe VARIANT="$${variant%%:*}" \
    SET=$(call quoted,$(SET))" $$(sed -E 's/,([a-z_.]+=)/ \1/g' <<< "$${variant\#*:}")"; done; done

estimate: | $(VENV)/.stamp  ## what RECIPES will cost before they start: tokens, hours at the speed of this machine, disk
	@$(call each,corpus)
	@$(PY) -m stages.estimate --runs $(COMPARED) --repeats '$(REPEATS)' $(REFERENCE:%=--reference %)

compare: | $(VENV)/.stamp  ## recipes, and variants of each, in one table with controls: RECIPES="demo demo-random" VARIANTS="tfidf:masked.scorer=tfidf"
	@test -n "$(RECIPES)" || { echo 'compare: name the recipes: make compare RECIPES="demo demo-random"' >&2; exit 2; }
	@$(MAKE) --no-print-directory estimate
	@$(call each,dapt)
	@for recipe in $(RECIPES); do name=$${recipe##*/}; \
	  if grep -qs '"policy": "selective"\|"general_documents": [1-9]' $(RUNS)/$${name%.toml}/.settings/masked.json; then \
	    $(MAKE) --no-print-directory controls RECIPE=$$recipe; fi; done
	@$(PY) -m stages.report --recipe $(firstword $(RECIPES)) --set $(OVERRIDES) --runs $(COMPARED) --out $(RUNS)/compare/report
	@echo "report: $(RUNS)/compare/report/report.html"

browse: | $(VENV)/.stamp  ## look into runs, corpora, scores and masks in a browser, on this machine alone: PORT=8787
	@$(PY) -m stages.browse --runs '$(RUNS)' --port $(or $(PORT),8787)

setup: $(VENV)/.stamp  ## the environment alone

TESTS := -m pytest -n auto --maxprocesses 8 --dist loadfile

test: | $(VENV)/.stamp  ## the tests
	@$(PY) $(TESTS)

test-slow: | $(VENV)/.stamp  ## every stage killed at every point: the same artifacts in the end (two minutes)
	@$(PY) -m pytest -m slow

check: | $(VENV)/.stamp  ## format, lint, tests
	@$(PY) -m ruff format --check . && $(PY) -m ruff check . && $(PY) $(TESTS)

prove-resume: | $(VENV)/.stamp  ## kill trainings at random steps and compare the weights; one process = two = accumulated
	@$(PY) -m tests.proofs

bench: | $(VENV)/.stamp  ## measurements -> docs/benchmarks.md; one of them: ONLY=training
	@$(PY) -m tests.benchmarks $(ONLY)

fuzz: | $(VENV)/.stamp  ## any bytes into the readers, by a coverage-guided fuzzer, for SECONDS=60; it says what to install
	@mkdir -p '$(RUNS)' && $(PY) -m tests.fuzz -max_total_time=$(or $(SECONDS),60) -max_len=400 -artifact_prefix='$(RUNS)/'

clean:  ## remove what RECIPE made
	@rm -rf '$(RUN)' && echo "removed $(RUN)"

# ---- settings and environment ----------------------------------------------------------------------------------------

# The recipe as it will be used, a file a section, rewritten only where its content changed.
.PRECIOUS: $(S)/%.json
$(S)/%.json: $(S)/checked
	@:

$(S)/checked: $(S)/variables stages/check.py $(wildcard stages/recipes/*.toml $(RECIPE)) | $(VENV)/.stamp
	@$(PY) -m stages.check --recipe '$(RECIPE)' --set $(OVERRIDES) --out $(@D) && touch $@

$(S)/variables: TYPED = RECIPE=$(RECIPE) SET=$(SET) BASE=$(BASE)
$(S)/data: TYPED = DATA=$(DATA)
$(S)/reference: TYPED = REFERENCE=$(REFERENCE)
$(S)/variables $(S)/data $(S)/reference: FORCE
	@mkdir -p $(@D); test $(call quoted,$(TYPED)) = "$$(cat $@ 2>/dev/null || true)" || echo $(call quoted,$(TYPED)) > $@

FORCE:

$(VENV)/.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "setup: $(PYTHON) is older than 3.10: set PYTHON=python3.11 or so" >&2; exit 2; }
	@echo "setup: making $(VENV) (once; about 1.5 GB and two minutes)"
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) || { echo "setup: python venv is missing: apt install python3-venv, or set PYTHON=" >&2; exit 2; }
	@$(PIP) --no-deps --retries 1 $(TORCH_INDEX:%=--extra-index-url %) "$$(grep '^torch==' requirements.txt)"
	@$(PIP) -r requirements.txt
	@touch $@
