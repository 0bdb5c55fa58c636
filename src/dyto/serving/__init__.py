"""A warm service: one model, many clients. `engine` works without HTTP; `app` speaks OpenAI's protocol."""
