"""HTTP: thin handlers over the gateway, one file a resource; `app.create_app` puts them together."""
