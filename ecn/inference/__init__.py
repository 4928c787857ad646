"""From a trained model to numbers: forward passes, evaluation, prediction of structures."""
