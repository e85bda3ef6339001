"""pytest's part of transportd: registered with pytest when the package is installed."""
