# The only door. `make help` lists the targets. Everything runs on the Node 24 that the `node` package brings; the system's node and npm only install it.
NODE := node_modules/node/bin/node
VITEST := $(NODE) node_modules/vitest/vitest.mjs run
# What has not changed since the last run is not checked again.
TSC := $(NODE) node_modules/typescript/bin/tsc -p . --incremental --tsBuildInfoFile node_modules/.cache/tsc.tsbuildinfo
export PATH := $(CURDIR)/node_modules/node/bin:$(PATH)

JOB ?= examples/word-count-sql.yaml
SEED ?=
SEEDS ?= 300

.PHONY: help install build image-roots image cluster-up cluster-down cluster-test run check test sim bench soak format parts crds chart clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

node_modules/.installed: package.json package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install any Node.js from 20 on with npm"; exit 1; }
	@# Not `npm ci`: it refuses a lock without the platform packages of other systems, which registries need not serve.
	@npm install --no-save --no-audit --no-fund --loglevel=error
	@test -x $(NODE) && $(NODE) -e 'process.exit(+(process.versions.node.split(".")[0] < 24))' || { echo "the node package did not bring Node 24"; exit 1; }
	@touch $@

install: node_modules/.installed ## install the dependencies, Node 24 included

dist/.built: node_modules/.installed $(shell find bin runtime operator -name '*.ts' -not -name '*.test.ts' 2>/dev/null)
	@$(NODE) bin/build.ts
	@touch $@

build: dist/.built ## dist/: what people run

# Behind the build, which empties dist/.
image-roots: dist/.built ## dist/images/runtime and operator: what the Containerfile makes images of
	@$(NODE) bin/image-roots.ts

image: image-roots ## both images as archives, by buildah: dist/images/millrace.tar and millrace-operator.tar
	@$(NODE) bin/image.ts

cluster-up: node_modules/.installed parts ## a Kubernetes node on this machine, with Kafka and S3 that pods reach; needs root
	@$(NODE) test/cluster/cluster.ts up

cluster-down: node_modules/.installed ## removes it
	@$(NODE) test/cluster/cluster.ts down

CLUSTER_TESTS := test/parts/node/story.test.ts test/parts/node/programs.test.ts
cluster-test: dist/.built parts ## the tests of a whole cluster on yours (kind, k3d): KUBECONFIG=file OUTSIDE=address LOAD='kind load image-archive'
	@MILLRACE_TEST_KUBECONFIG="$(KUBECONFIG)" MILLRACE_TEST_OUTSIDE="$(OUTSIDE)" MILLRACE_TEST_LOAD="$(LOAD)" $(VITEST) --project parts $(CLUSTER_TESTS)

run: dist/.built ## a word count in SQL on an embedded local cluster (JOB=file.yaml for another); Ctrl-C ends it
	@bin/millrace up $(JOB) $(if $(CI),--once,)

check: node_modules/.installed ## format, types, tidy, unit and property tests, some hundred simulated seeds
	@$(NODE) node_modules/@biomejs/biome/bin/biome check --error-on-warnings .
	@$(TSC)
	@SEEDS=$(SEEDS) $(NODE) test/support/run-tests.ts --project unit

parts: node_modules/.installed ## install and build the real parts the tests need, cached outside the repository
	@bash test/parts/install.sh

test: dist/.built parts ## everything, against real parts
	@$(NODE) node_modules/@biomejs/biome/bin/biome check --error-on-warnings .
	@$(TSC)
	@$(NODE) node_modules/knip/bin/knip.js
	@SEEDS=2000 $(NODE) test/support/run-tests.ts

sim: node_modules/.installed ## whole-system simulation: SEED=n for one, SEEDS=n for many
	@SEED=$(SEED) SEEDS=$(SEEDS) $(VITEST) --project unit test/sim

bench: dist/.built ## side by side with Apache Flink: CASE=name (none = the list), P=1|2, RUNS=5, SCALE=1, CHECKPOINTS=10s, WRITE=1 for docs/benchmarks.md
	@$(NODE) bench/run.ts $(if $(WRITE),--write,)

soak: dist/.built parts ## the long forms, for hours
	@SOAK=1 SEEDS=100000 $(NODE) test/support/run-tests.ts

crds: node_modules/.installed ## crds/ and the kinds of the chart, from operator/api
	@$(NODE) bin/crds.ts

chart: node_modules/.installed ## values, schema and README of charts/millrace, from bin/chart/values.ts
	@$(NODE) bin/chart.ts

format: node_modules/.installed ## format all sources
	@$(NODE) node_modules/@biomejs/biome/bin/biome check --write .

clean: ## remove what was built
	@rm -rf dist .millrace test-results
