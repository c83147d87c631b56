"""Parts of the method for long horizons: Newton steps whose equations are never written down."""
