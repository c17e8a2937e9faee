"""The service behind the real Argo Rollouts and Flagger: how a scenario is written stands in docs/e2e.md."""
