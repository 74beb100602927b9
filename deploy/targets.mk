# From nothing to a verified system and back; docs/deploy.md is the walk. What a target needs is said in its line; `make help` ends with
# what the words in brackets mean.
PYTHON := .deps/venv/bin/python
CLOUD := $(PYTHON) deploy/aws/cloud.py
export KUBECONFIG ?= .kube/kubeconfig.yaml

.PHONY: ca4-plan ca4-apply ca4-grow ca4-destroy ca4-nuke ca4-clean
ca4-plan: setup-deploy ## [AWS] show what ca4-apply would change; changes nothing
	@$(CLOUD) plan
ca4-apply: setup-deploy ## [AWS] make or change network, bastion, nodes, database, archive; costs money from here on
	@$(CLOUD) apply
ca4-grow: setup-deploy ## [AWS] one of deploy/aws/growth: NAME=msk, SET="DiskGib=300"; PLAN=1 shows it only; docs/scaling.md
	@$(CLOUD) grow "$(NAME)" $(if $(PLAN),--plan) $(if $(SET),--set $(SET))
ca4-destroy: setup-deploy ## [AWS] delete it all but the archive and a last snapshot; asks, or CONFIRM=ca4; ONLY=node-2 for one
	@$(CLOUD) destroy $(if $(ONLY),--only $(ONLY))
ca4-nuke: setup-deploy ## [AWS] delete everything, the archive and snapshots too; asks, or CONFIRM=ca4
	@$(CLOUD) nuke
ca4-clean: setup-deploy ## remove outputs, SSH configuration and kubeconfig from this machine
	@$(CLOUD) clean

LOCAL := python3 deploy/local/processor.py
# While that processor runs, the checks below look at it.
-include $(or $(CA4_LOCAL_DIR),.ca4-processor)/checks.mk

.PHONY: run-local-processor stop-local-processor status-local-processor
run-local-processor: build ## [SSH] tunnel and processor on this machine, in the background; or KAFKA_BOOTSTRAP=...; PUBLIC=ngrok
	@$(LOCAL) start $(if $(PUBLIC),--public $(PUBLIC))
stop-local-processor: ## end them, in order; events that Kafka does not have yet stay on this disk
	@$(LOCAL) stop
status-local-processor: ## what each part is doing: up or down, address, outbox, public URL, last error; exit code 0 when all is well
	@$(LOCAL) status

.PHONY: ca4-bootstrap-k3s ca4-platform-setup ca4-deploy-edge ca4-deploy-monitoring
ca4-bootstrap-k3s: ## [SSH] K3s on the nodes, through the bastion; writes .kube/kubeconfig.yaml
	@deploy/k3s/bootstrap.sh
ca4-platform-setup: setup-deploy ## [SSH, kubectl] namespaces, Kafka and its topics; starts run-local-processor for its tunnel
	@deploy/k8s/apply.sh platform
ca4-deploy-edge: setup-deploy ## [SSH, kubectl, AWS] the worker, its secrets and settings; CA4_IMAGE=... from a registry; CA4_OVERLAY=k3s-ha...
	@deploy/k8s/apply.sh edge
ca4-deploy-monitoring: setup-deploy ## [tunnel, kubectl] Prometheus, Loki, Grafana; CA4_METRICS_BUCKET=... CA4_LOGS_BUCKET=...
	@deploy/k8s/apply.sh monitoring

.PHONY: ca4-verify-preflight ca4-verify-kafka ca4-verify-db ca4-verify-e2e ca4-open-grafana
# By a make of their own: it reads checks.mk as it is now, not as it was before run-local-processor in the same command line.
ca4-verify-preflight: ## [tunnel] is everything in place that the pipeline needs?
	@$(MAKE) verify-preflight
ca4-verify-kafka: ## [tunnel] does Kafka take and give events?
	@$(MAKE) verify-kafka
ca4-verify-db: kubeconfig ## [tunnel, kubectl] does the database answer, seen from a worker?
	@kubectl --namespace app exec deployment/worker -- ca4 verify db
ca4-verify-e2e: kubeconfig ## [tunnel, kubectl] a marked event all the way: processor, Kafka, worker; then database and archive, seen from a worker
	@$(MAKE) verify-workflow
	@kubectl --namespace app exec deployment/worker -- ca4 verify db archive
ca4-open-grafana: ## [tunnel] say where Grafana is, once it answers
	@deploy/open-grafana.sh

# kubectl's own words, about localhost:8080, lead nowhere.
.PHONY: kubeconfig
kubeconfig:
	@[ -f "$(KUBECONFIG)" ] || { echo "$(MAKECMDGOALS): $(KUBECONFIG) is not there: run \`make ca4-bootstrap-k3s\` first" >&2; exit 1; }

.PHONY: vpc-sim
vpc-sim: as-root setup-sim build ## [root] the VPC on this machine: namespaces, firewall, bastion, Kafka, database, S3, worker, tunnel; stays up
	@$(PYTHON) deploy/sim/vpc_sim.py $(ARGS)

.PHONY: incident-drill
incident-drill: ## [root] plays incidents of docs/runbook.md; DRILL=kafka (default), all, or another; cluster: [tunnel, kubectl] on the cluster
ifeq ($(DRILL),cluster)
incident-drill: build kubeconfig
	@python3 deploy/k8s/cluster_drill.py
else
incident-drill: as-root setup-sim build
	@$(PYTHON) deploy/sim/incident_drill.py $(DRILL)
endif

.PHONY: as-root
as-root:
	@[ "$$(id -u)" -eq 0 ] || { echo "$(MAKECMDGOALS): network namespaces need root. Run: sudo make $(MAKECMDGOALS)" >&2; exit 1; }
