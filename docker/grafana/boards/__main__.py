"""Write every board to docker/grafana/dashboards/, where Grafana loads them."""

from docker.grafana.boards.boards import BOARDS, FOLDER, rendered

for name, make in BOARDS.items():
    (FOLDER / f"{name}.json").write_text(rendered(make()), encoding="utf-8")
